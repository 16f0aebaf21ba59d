-- Notes where a user stopped reading channels, of each the first that is noted.
--
-- KEYS  the absences of the user
-- ARGV  the life of an absence in ms; then each channel and what is to be known of it
for place = 2, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[place], ARGV[place + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
