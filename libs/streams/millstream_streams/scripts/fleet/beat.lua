-- Note that a worker is alive, and until when its registrations count.
--
-- Caller      workers
-- Idempotent  yes
-- Needs       numbers heartbeats fleet
-- KEYS        1 as in _fleet.lua, read; 2-3 written
-- ARGV[1]     worker
-- ARGV[2]     what it says of itself (MessagePack)
-- ARGV[3]     start; '' for one that has registered nothing
-- ARGV[4]     release
-- ARGV[5]     ms for which its registrations count from now
-- ARGV[6]     '1' when it takes no more jobs: then they count for no longer than they do already
-- Returns     1 when the registry has what this worker registered; 0 when it was lost, or has never been there

local now = now_ms()

forget_silent(now)
if ARGV[3] ~= '' then
  local own, ends = member(tonumber(ARGV[3]), ARGV[4], ARGV[1]), int(now + tonumber(ARGV[5]))
  if ARGV[6] == '1' then
    redis.call('ZADD', starts, 'XX', 'LT', ends, own)
  else
    redis.call('ZADD', starts, ends, own)
  end
end
note_heartbeat(workers, ARGV[1], now, ARGV[2])
return redis.call('HEXISTS', types, ARGV[4])
