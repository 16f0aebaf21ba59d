-- Begins a new epoch of a partition, unless it has another than the one that is given up.
--
-- KEYS  the partition's counter
-- ARGV  the epoch that is given up, the one that begins
local counter = redis.call('GET', KEYS[1])
if counter then
  local part, number = struct.unpack('>c8I5', counter)
  if part == ARGV[1] then
    redis.call('SET', KEYS[1], struct.pack('>c8I5', ARGV[2], number))
  end
end
return 1
