-- Takes a call from the bucket KEYS[1] by the generic cell rate algorithm, as package policy does in
-- memory. The bucket is the time at which it is full again: whole microseconds of the server's clock,
-- and parts of one, of which ARGV[5] make one. So all numbers are whole and below 2^53, where Lua
-- rounds nothing. ARGV[1] and ARGV[2] are the time in which one call comes back, in microseconds and
-- parts, and ARGV[3] and ARGV[4] that in which the burst does.
--
-- Returns whether the call may pass, as 1 or 0, and the time until the bucket is full.
local cost, costParts = tonumber(ARGV[1]), tonumber(ARGV[2])
local most, mostParts = tonumber(ARGV[3]), tonumber(ARGV[4])
local unit = tonumber(ARGV[5])

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local full, parts, changed = now, 0, false
local value = redis.pcall('GET', KEYS[1])
if value then
	local f, p, u
	if type(value) == 'string' then
		f, p, u = string.match(value, '^(%d+) (%d+) (%d+)$')
	end
	full, parts, u = tonumber(f), tonumber(p), tonumber(u)
	if not full or parts >= u then -- not ours: an empty bucket, which is full again in time
		full, parts, changed = math.huge, 0, true
	elseif u ~= unit and parts > 0 then -- the rate was another: round up
		full, parts = full + 1, 0
	end
	if full < now then
		full, parts = now, 0
	end
	-- No bucket is more than empty, even if the clock was set back or the burst was larger before.
	if full - now > most or full - now == most and parts > mostParts then
		full, parts, changed = now + most, mostParts, true
	end
end

local nextFull, nextParts = full + cost, parts + costParts
if nextParts >= unit then
	nextFull, nextParts = nextFull + 1, nextParts - unit
end
local ok = nextFull - now < most or nextFull - now == most and nextParts <= mostParts
if ok then
	full, parts, changed = nextFull, nextParts, true
end
if changed then
	local left = math.ceil((full - now) / 1000) + 1 -- milliseconds; the server rounds its own time down
	redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f', full, parts, unit), 'PX', string.format('%.0f', left))
end
return {ok and 1 or 0, full - now, parts}
