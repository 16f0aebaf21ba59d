-- Gives the record of a session to whoever asks first.
--
-- KEYS  the session's own record, the sessions of the core where it began
-- ARGV  the session
local record = redis.call('GET', KEYS[1])
if record then
  redis.call('DEL', KEYS[1])
  return record
end
record = redis.call('HGET', KEYS[2], ARGV[1])
if record then
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return record
