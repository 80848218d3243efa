-- End what a handler holds back by hand: the queue, or one of its keys.
--
-- Caller      ingest
-- Idempotent  yes
-- Needs       numbers queue moves gate
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     the key, percent-encoded; '' for the whole queue
-- Returns     1 when something was held back; 0 when nothing was

local key, now = ARGV[2], now_ms()
local is_changed
-- The first write: operators let jobs start when Redis is full.
if key == '' then
  is_changed = (tonumber(setting('held_until')) or 0) > now
  redis.call('HDEL', settings, 'held_until', 'held_by')
else
  local held = string.sub(jobs, 1, -5) .. 'held'
  is_changed = redis.call('ZREM', held, key) == 1
  if redis.call('EXISTS', held) == 0 then redis.call('HDEL', settings, 'keys_held_until') end
end
read_settings()
if gate then gate.look_again() end
settle()
return is_changed and 1 or 0
