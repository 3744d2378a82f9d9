-- Adds ARGV[6] units to what the key KEYS[1] has used in a window, if that is not more than ARGV[7]
-- then. ARGV[1] to ARGV[4] are where three windows that follow each other begin and the last one ends,
-- in seconds of the server's clock, which says which of them it is. The value is the beginning of a
-- window and what was used in it. ARGV[5] is how many seconds longer than its window it is kept. All
-- numbers are whole and below 2^53, where Lua rounds nothing.
--
-- Returns whether the call may pass, as 1 or 0, what was used, and the microseconds until the window
-- ends; -1 if the time is in none of the windows.
local bounds = {tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])}
local longer, units, limit = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local time = redis.call('TIME')
local now, micros = tonumber(time[1]), tonumber(time[2])
local start, finish
for i = 1, 3 do
	if now >= bounds[i] and now < bounds[i + 1] then
		start, finish = bounds[i], bounds[i + 1]
	end
end
if not start then
	return {-1, 0, 0}
end

local used, changed = 0, false
local value = redis.pcall('GET', KEYS[1])
if value then
	local s, u
	if type(value) == 'string' then
		s, u = string.match(value, '^(%d+) (%d+)$')
	end
	s, u = tonumber(s), tonumber(u)
	if not s or not u or s > 2 ^ 52 then -- not ours: all is used
		used, changed = limit, true
	elseif s >= bounds[4] then -- the clock was far ahead: what was used then counts now
		used, changed = math.min(u, 2 ^ 52), true
	elseif s >= start then
		used = math.min(u, 2 ^ 52)
		for i = 1, 3 do -- the clock may have been set back: the window that has begun stays
			if s >= bounds[i] then
				start, finish = bounds[i], bounds[i + 1]
			end
		end
	end
end

local ok = used + units <= limit
if ok then
	used, changed = used + units, true
end
local left = (finish - now) * 1000000 - micros
if changed then
	local kept = math.ceil(left / 1000) + longer * 1000 -- milliseconds
	redis.call('SET', KEYS[1], string.format('%.0f %.0f', start, used), 'PX', string.format('%.0f', kept))
end
return {ok and 1 or 0, used, left}
