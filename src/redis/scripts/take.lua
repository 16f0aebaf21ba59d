-- Gives the record of a session to whoever asks first.
--
-- KEYS  the sessions of a core
-- ARGV  the session
local record = redis.call('HGET', KEYS[1], ARGV[1])
if record then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return record
