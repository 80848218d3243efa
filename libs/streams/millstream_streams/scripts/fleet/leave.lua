-- Forget a worker that has stopped: its line in the list, and its word about job types.
--
-- Caller      workers
-- Idempotent  yes
-- KEYS        2-3 as in _fleet.lua, written
-- ARGV[1]     worker
-- Returns     nothing

forget_silent(now_ms())
local mine = read_starts()[ARGV[1]]
if mine then redis.call('ZREM', starts, mine.member) end
redis.call('HDEL', workers, ARGV[1])
