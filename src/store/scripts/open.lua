-- Tells all that is kept of a channel. Begins the epochs that have not begun, so that what is told holds from now on.
--
-- KEYS  the partition's counter, the channel's state and stream
-- ARGV  letters for an epoch that begins here, life of a state in ms, entries and bytes at most
--
-- Answers the counter, the state, and the youngest entries, the youngest first. Forms as in append.lua.
local fresh, state_life = ARGV[1], ARGV[2]
local entries_max, bytes_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local call, pack, unpack = redis.call, struct.pack, struct.unpack

local counter = call('GET', KEYS[1])
if not counter then
  counter = pack('>c8I5I1I6', fresh, 0, 0, 0)
  call('SET', KEYS[1], counter)
end
local part = unpack('>c8', counter)
local state = call('GET', KEYS[2])
local of, epoch, offset, time, renewal, kept_number = '', fresh, 0, 0, 0, 0
if state then
  of, epoch, offset, time, renewal, kept_number = unpack('>c8c8I5I6I6I5', state)
end
if of ~= part then
  epoch = fresh
  state = pack('>c8c8I5I6I6I5', part, epoch, offset, time, 0, kept_number)
  call('SET', KEYS[2], state, 'PX', state_life)
else
  call('PEXPIRE', KEYS[2], state_life)
end

local answers, bytes, before = { counter, state }, 0, '+'
while #answers - 2 < entries_max do
  local page = call('XREVRANGE', KEYS[3], before, '-', 'COUNT', math.min(64, entries_max + 2 - #answers))
  for _, entry in ipairs(page) do
    local text = entry[2][2]
    bytes = bytes + #text
    if bytes > bytes_max or string.sub(text, 10, 17) ~= epoch then
      return answers
    end
    answers[#answers + 1] = text
    before = '(' .. entry[1]
  end
  if #page == 0 then
    break
  end
end
return answers
