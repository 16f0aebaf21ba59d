-- Appends publications of one partition in the order in which they are given, and tells every node.
--
-- KEYS   the partition's counter, the stream of what is said to users, the progress of the run; then for each publication
--        its channel's state and stream and, where it has one, the key of its receipt
-- ARGV   letters for an epoch that begins here, entries of a stream, entries of the users' stream, lives of a state, of
--        a stream and of a receipt in ms, the command that publishes, the number of the run's last publication in this
--        call; then for each publication its marks, its topic, its body and, where it has a receipt, its id
-- marks  a sum: 1 it takes an offset and is kept, 2 it has a receipt, 4 it is said to a user
--
-- Answers for each publication its head; for one that has a receipt already, the receipt.
--
-- head     'P', partition epoch, channel epoch (8 letters each), number in the partition, offset (40 bits each; offset 0
--          if it is not kept), time in ms (48 bits)
-- receipt  the head of the publication that it was written for, and that one's id
-- counter  partition epoch, last number
-- state    partition epoch, channel epoch, last offset, last time, when the lives of the channel's keys begin anew,
--          number in the partition of the last publication that has an offset
--
-- One call of the server costs about as much as all that is computed here for a publication, so states are strings that
-- one call reads and one writes, and lives are renewed now and then.
local fresh, kept_max, users_max = ARGV[1], ARGV[2], ARGV[3]
local state_life, stream_life, receipt_life, publish = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local call, pack, unpack = redis.call, struct.pack, struct.unpack

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local counter = call('GET', KEYS[1])
local part, number = fresh, 0
if counter then
  part, number = unpack('>c8I5', counter)
end

-- Whoever deletes the counter leaves streams behind that are further than it: they are of no use any more.
local function keep(stream, max, id, entry)
  local kept = redis.pcall('XADD', stream, 'MAXLEN', '~', max, id, 'p', entry)
  if type(kept) == 'table' and kept.err then
    call('DEL', stream)
    call('XADD', stream, id, 'p', entry)
  end
end

local answers = {}
local key, argument = 4, 9
while argument <= #ARGV do
  local marks, topic, body = tonumber(ARGV[argument]), ARGV[argument + 1], ARGV[argument + 2]
  local state_key, stream_key = KEYS[key], KEYS[key + 1]
  argument, key = argument + 3, key + 2
  local is_kept = marks % 2 == 1

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

  local receipt = false
  if marks % 4 >= 2 then
    local is_new = call('SET', KEYS[key], head .. ARGV[argument], 'PX', receipt_life, 'NX')
    if not is_new then
      receipt = call('GET', KEYS[key])
    end
    argument, key = argument + 1, key + 1
  end

  if receipt then
    answers[#answers + 1] = receipt
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
      if marks >= 4 then
        keep(KEYS[2], users_max, id, entry)
      end
    end
    call(publish, topic, entry)
    answers[#answers + 1] = head
  end
end
call('SET', KEYS[1], pack('>c8I5', part, number))
call('SET', KEYS[3], ARGV[8], 'PX', state_life)
return answers
