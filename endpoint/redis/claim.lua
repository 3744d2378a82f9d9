-- Claims a key: KEYS[1] with the value ARGV[1], for ARGV[2] milliseconds. Returns what was there, or
-- nil if nothing was.
local found = redis.call('GET', KEYS[1])
if found then
	return found
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
