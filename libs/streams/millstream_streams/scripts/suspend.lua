-- Let no job of a queue start while its tenant is suspended, or let them start again.
--
-- Caller      ingest, dispatchers
-- Idempotent  yes
-- Needs       numbers queue moves gate
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     '1' to suspend it, '' to let it go on
-- Returns     1 when it is changed by this; 0 when it was so before
--
-- The `!` at the head of the field closes the queue to workers of a release that does not know it, too.

if is_suspended() == (ARGV[2] == '1') then return 0 end
-- The first write: a tenant is suspended when Redis is full.
redis.call('HDEL', settings, '!suspended')
if ARGV[2] == '1' then redis.call('HSET', settings, '!suspended', '1') end
read_settings()
settle()
return 1
