-- Take a worker that has stopped off the list, and let its registrations end.
--
-- Caller      workers
-- Idempotent  yes
-- Needs       numbers fleet
-- KEYS        2-3 as in _fleet.lua, written
-- ARGV[1]     worker
-- ARGV[2]     ms for which its registrations count at most from now
-- Returns     nothing

local now = now_ms()

forget_silent(now)
local mine = read_starts()[ARGV[1]]
if mine then redis.call('ZADD', starts, 'XX', 'LT', int(now + tonumber(ARGV[2])), mine.member) end
forget_silent(now)
redis.call('HDEL', workers, ARGV[1])
