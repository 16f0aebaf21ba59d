-- Renews the lease of a node and tells who else has one.
--
-- KEYS  the leases: a sorted set of names by the time at which they end
-- ARGV  the name, which is the run and its generation; the life of a lease in ms; whether it ends here ('1')
--
-- Answers whether the lease was there, whether any was, and all names.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local was_any = redis.call('ZCARD', KEYS[1]) > 0
local was_held = redis.call('ZSCORE', KEYS[1], ARGV[1]) and true or false
if ARGV[3] == '1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
end
return { was_held and 1 or 0, was_any and 1 or 0, redis.call('ZRANGE', KEYS[1], 0, -1) }
