-- Appends publications of one partition in the order in which they are given, and tells every node.
--
-- KEYS   the partition's counter, the stream of what is said to users, the progress of the run, two tables of receipts,
--        a key that never exists; then for each publication its channel's state and stream. While a slot is on its way
--        to another master, a call is refused if one of its keys is not there: thanks to the one that never is, all calls
--        are refused then or none, and the order of a run's publications holds
-- ARGV   entries of a stream, entries of the users' stream, lives of a state, of a stream and of a receipt in ms,
--        receipts of a table, letters for an epoch that begins here, the command that publishes; then for each publication
--        its marks, its number in the run, its topic, its body and, where it has a receipt, its key and its id
-- marks  a sum: 1 it takes an offset and is kept, 2 it has a receipt, 4 it is said to a user, 8 it is out of turn
--
-- Answers for each publication its head; for one that has a receipt already, the receipt; nothing for one without a
-- receipt that is not later than what the run has come to, unless it is out of turn and not the very last one: a
-- connection that broke has delivered it late.
--
-- head     'P', partition epoch, channel epoch (8 letters each), number in the partition, offset (40 bits each; offset 0
--          if it is not kept), time in ms (48 bits)
-- receipt  the head of the publication that it was written for, and that one's id
-- counter  partition epoch, last number, which table takes receipts, since when
-- state    partition epoch, channel epoch, last offset, last time, when the lives of the channel's keys begin anew,
--          number in the partition of the last publication that has an offset
--
-- Receipts go to one table until it is full or as old as a receipt may get; then the other one is emptied and takes them.
-- So a receipt is kept for a life or, if there are many, until so many others have come.
--
-- One call of the server costs about as much as all that is computed here for a publication, so states are strings that
-- one call reads and one writes, and lives are renewed now and then.
local kept_max, users_max, state_life, stream_life = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local receipt_life, receipts_max = tonumber(ARGV[5]), tonumber(ARGV[6])
local fresh, publish = ARGV[7], ARGV[8]
local call, pack, unpack = redis.call, struct.pack, struct.unpack

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local counter = call('GET', KEYS[1])
local part, number, table_number, table_since = fresh, 0, 0, 0
if counter then
  part, number, table_number, table_since = unpack('>c8I5I1I6', counter)
end

-- Whoever deletes the counter leaves streams behind that are further than it: they are of no use any more.
local function keep(stream, max, id, entry)
  local kept = redis.pcall('XADD', stream, 'MAXLEN', '~', max, id, 'p', entry)
  if type(kept) == 'table' and kept.err then
    call('DEL', stream)
    call('XADD', stream, id, 'p', entry)
  end
end

-- The receipt that there is under a key; without one, this one is kept.
local is_table_known = false
local function receipt_of(key, receipt)
  if not is_table_known then
    is_table_known = true
    if now - table_since >= receipt_life or call('HLEN', KEYS[4 + table_number]) >= receipts_max then
      table_number, table_since = 1 - table_number, now
      call('UNLINK', KEYS[4 + table_number])
    end
  end
  local former = call('HGET', KEYS[5 - table_number], key)
  if former or call('HSETNX', KEYS[4 + table_number], key, receipt) == 1 then
    return former
  end
  return call('HGET', KEYS[4 + table_number], key)
end

-- The receipt that there is under a key, or false.
local function known_receipt(key)
  return call('HGET', KEYS[4 + table_number], key) or call('HGET', KEYS[5 - table_number], key)
end

local progress = tonumber(call('GET', KEYS[3]) or false)
local has_begun = progress ~= nil
progress = progress or 0

local answers = {}
local key, argument = 7, 9
while argument <= #ARGV do
  local marks, turn = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
  local topic, body = ARGV[argument + 2], ARGV[argument + 3]
  local state_key, stream_key = KEYS[key], KEYS[key + 1]
  argument, key = argument + 4, key + 2
  local is_kept = marks % 2 == 1
  local ahead = (turn - progress) % 4294967296
  local is_late = has_begun and (ahead == 0 or ahead >= 2147483648)
  if not is_late then
    progress, has_begun = turn, true
  end

  local state = call('GET', state_key)
  local of, epoch, offset, time, renewal, kept_number = '', fresh, 0, 0, 0, 0
  if state then
    of, epoch, offset, time, renewal, kept_number = unpack('>c8c8I5I6I6I5', state)
  end
  if of ~= part then
    epoch = fresh
  end
  if is_kept then
    offset = offset + 1
  end
  time = math.max(time + 1, now)
  local head = pack('>c1c8c8I5I5I6', 'P', part, epoch, number + 1, is_kept and offset or 0, time)

  local is_void, receipt = is_late and (marks < 8 or ahead == 0), false
  if marks % 4 >= 2 then
    local id = ARGV[argument]
    receipt = is_void and known_receipt(id) or not is_void and receipt_of(id, head .. ARGV[argument + 1])
    argument = argument + 2
  end

  if receipt then
    answers[#answers + 1] = receipt
  elseif is_void then
    answers[#answers + 1] = ''
  else
    number = number + 1
    local entry = head .. body
    local is_due = now >= renewal
    if is_kept then
      kept_number = number
      if is_due then
        renewal = now + math.floor(stream_life / 8)
      end
    end
    state = pack('>c8c8I5I6I6I5', part, epoch, offset, time, renewal, kept_number)
    if is_due then
      call('SET', state_key, state, 'PX', state_life)
    else
      call('SET', state_key, state, 'KEEPTTL')
    end
    if is_kept then
      local id = string.format('%d-%d', number, offset)
      keep(stream_key, kept_max, id, entry)
      if is_due then
        call('PEXPIRE', stream_key, stream_life)
      end
      if marks % 8 >= 4 then
        keep(KEYS[2], users_max, id, entry)
      end
    end
    call(publish, topic, entry)
    answers[#answers + 1] = head
  end
end
call('SET', KEYS[1], pack('>c8I5I1I6', part, number, table_number, table_since))
call('SET', KEYS[3], string.format('%d', progress), 'PX', state_life)
return answers
