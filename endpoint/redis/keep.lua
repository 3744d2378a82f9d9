-- Puts ARGV[2] in the place of ARGV[1] under KEYS[1], for ARGV[3] milliseconds. Returns 1 if it is
-- there now, also if it was already, because a client may send a script twice.
local found = redis.call('GET', KEYS[1])
if found == ARGV[2] then
	return 1
end
if found ~= ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
