-- Hold back a queue for a while, for a handler whose job lies in another partition of the type.
--
-- Caller      workers
-- Idempotent  no: a repetition counts the time from then on
-- Needs       numbers queue moves gate holding
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     ms for which no job of it starts
-- ARGV[3]     the job whose handler asked for it
-- Returns     1

local now = now_ms()
-- The first write. No hash has a field without a name.
redis.call('HDEL', settings, '')
hold_queue(tonumber(ARGV[2]), ARGV[3], now)
store_holds(now)
settle()
return 1
