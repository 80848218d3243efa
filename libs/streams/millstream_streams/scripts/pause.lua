-- Pause a queue, or resume it. While it is paused no worker is given a job of it; what runs goes on.
--
-- Caller      ingest
-- Idempotent  yes: a queue that is paused keeps its time and its reason
-- Needs       numbers queue moves gate
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     '1' to pause it, '' to resume it
-- ARGV[3]     why it is paused
-- Returns     1 when it is changed by this; 0 when it was so before

local was_paused = setting('paused') == '1'
if was_paused == (ARGV[2] == '1') then return 0 end
-- The first write: operators pause when Redis is full.
redis.call('HDEL', settings, 'paused', 'paused_at', 'pause_reason')
if ARGV[2] == '1' then
  redis.call('HSET', settings, 'paused', '1', 'paused_at', int(now_ms()), 'pause_reason', ARGV[3])
end
read_settings()
settle()
return 1
