-- Begins a new epoch of a partition, unless it has another than the one that is given up.
--
-- KEYS  the partition's counter
-- ARGV  the epoch that is given up, the one that begins
local counter = redis.call('GET', KEYS[1])
if counter then
  if string.sub(counter, 1, 8) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2] .. string.sub(counter, 9))
  end
end
return 1
