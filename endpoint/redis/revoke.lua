-- Sets KEYS[1] for ARGV[1] milliseconds, or for good if that is 0, unless it is set for longer.
local left = redis.call('PTTL', KEYS[1]) -- -1 is for good, -2 is not set
local wanted = tonumber(ARGV[1])
if left == -1 or wanted ~= 0 and left >= wanted then
	return 0
end
if wanted == 0 then
	redis.call('SET', KEYS[1], '1')
else
	redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return 1
