-- Forget a gap of the events, once the history has read again what it tells.
--
-- Caller      dispatchers
-- Idempotent  yes
-- Needs       queue
-- KEYS        7 as in _queue.lua, written
-- ARGV[2]     the last entry of the gap as it was read before
-- Returns     1 when it is closed; 0 when more was lost since, which is the gap now

local last = redis.call('HGET', settings, 'gap_last')
if last and last ~= ARGV[2] then
  redis.call('HSET', settings, 'gap_first', ARGV[2])
  return 0
end
redis.call('HDEL', settings, 'gap_first', 'gap_last')
return 1
