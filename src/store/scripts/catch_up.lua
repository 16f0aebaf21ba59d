-- Tells what followed on channels of a partition. Begins the epochs that have not begun, as open.lua does.
--
-- KEYS  the partition's counter, the stream of what is said to users, the progress of the run; then for each channel its
--       state and stream
-- ARGV  letters for an epoch that begins here, life of a state in ms, bytes at most of one channel and of all;
--       the number in the partition after which users' entries are wanted ('-' if none are), entries to which their
--       stream is trimmed; then for each channel the epoch, the offset and the time that are known
--
-- Answers the counter; the number of the run's last publication that was carried out; what was said to users, or 0 if a
-- part of it is kept no more; how many channels were looked at, which is fewer than asked for where all bytes are used
-- up; then for each that stands elsewhere its place in the request counted from 0, its state and its entries from the
-- known one on, the youngest first. Forms as in append.lua.
local fresh, state_life = ARGV[1], ARGV[2]
local channel_bytes_max, bytes_left = tonumber(ARGV[3]), tonumber(ARGV[4])
local users_after, users_max = ARGV[5], tonumber(ARGV[6])
local call, pack, unpack = redis.call, struct.pack, struct.unpack

local counter = call('GET', KEYS[1])
if not counter then
  counter = pack('>c8I5I1I6', fresh, 0, 0, 0)
  call('SET', KEYS[1], counter)
end
local part, last_number = unpack('>c8I5', counter)

-- Entries that `is_wanted`, from the youngest; and whether one that is not was reached, before the bytes were used up.
local function youngest(stream, bytes_max, is_wanted)
  local found, bytes, before = {}, 0, '+'
  while true do
    local page = call('XREVRANGE', stream, before, '-', 'COUNT', 64)
    for _, entry in ipairs(page) do
      local text = entry[2][2]
      if not is_wanted(text) then
        return found, bytes, true
      end
      bytes = bytes + #text
      if bytes > bytes_max then
        return found, bytes, false
      end
      found[#found + 1] = text
      before = '(' .. entry[1]
    end
    if #page == 0 then
      return found, bytes, call('XLEN', stream) < users_max
    end
  end
end

local users = {}
if users_after ~= '-' and tonumber(users_after) < last_number then
  local after = tonumber(users_after)
  local found, bytes, is_whole = youngest(KEYS[2], channel_bytes_max, function(text)
    return string.sub(text, 2, 9) == part and unpack('>I5', text, 18) > after
  end)
  users = is_whole and found or 0
  bytes_left = bytes_left - bytes
end

local answers = { counter, tonumber(call('GET', KEYS[3]) or 0), users, 0 }
local looked_at = 0
for place = 0, (#KEYS - 3) / 2 - 1 do
  if bytes_left <= 0 then
    break
  end
  looked_at = place + 1
  local state_key = KEYS[2 * place + 4]
  local known_epoch = ARGV[3 * place + 7]
  local known_offset, known_time = tonumber(ARGV[3 * place + 8]), tonumber(ARGV[3 * place + 9])
  local state = call('GET', state_key)
  local of, epoch, offset, time, renewal, kept_number = '', fresh, 0, 0, 0, 0
  if state then
    of, epoch, offset, time, renewal, kept_number = unpack('>c8c8I5I6I6I5', state)
  end
  if of ~= part then
    epoch = fresh
    state = pack('>c8c8I5I6I6I5', part, epoch, offset, time, 0, kept_number)
    call('SET', state_key, state, 'PX', state_life)
  end
  if epoch ~= known_epoch or offset ~= known_offset or time ~= known_time then
    local is_continued = epoch == known_epoch and offset >= known_offset
    local found, bytes = youngest(KEYS[2 * place + 5], channel_bytes_max, function(text)
      local is_before = is_continued and unpack('>I5', text, 23) < known_offset
      return string.sub(text, 10, 17) == epoch and not is_before
    end)
    bytes_left = bytes_left - bytes
    answers[#answers + 1] = { place, state, found }
  end
end
answers[4] = looked_at
return answers
