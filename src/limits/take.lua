-- Takes one request out of the budget of a key. All instances run this script, so their counts are one.
--
-- KEYS[1]: when the key's whole burst is available again, by this server's clock: microseconds since 1970, a dot, and
--          the nanoseconds beyond them. Absent: it is available now.
-- ARGV:    the nanoseconds that a request uses up, and those of the whole burst.
-- Returns: 1 if the request is within the limit, else 0; and what is used then, in nanoseconds.
--
-- Numbers are doubles, exact up to 2^53: enough for microseconds since 1970, and for nanoseconds of a window, but not for
-- nanoseconds since 1970. `tostring` would keep 14 digits only.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local used, is_beyond = 0, false
local micros, nanos = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+)%.(%d+)$')
if micros then
    -- At most the burst, which is kept: the window may have been shortened, and the clock set back.
    used = math.max((micros - now) * 1000 + nanos, 0)
    is_beyond = used > burst
    used = math.min(used, burst)
end
local is_allowed = used + cost <= burst
if is_allowed then
    used = used + cost
end
if is_allowed or is_beyond then
    local full_at = string.format('%.0f.%03.0f', now + math.floor(used / 1000), used % 1000)
    redis.call('SET', KEYS[1], full_at, 'PX', math.ceil(used / 1000000))
end
return {is_allowed and 1 or 0, used}
