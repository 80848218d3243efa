-- Note which queues have parts after a deal, so that the next one does not look at those that have none (ADR 130).
--
-- Caller      dispatchers and ingest
-- Idempotent  yes
-- Needs       queue
-- KEYS        7 as in _queue.lua, written
-- ARGV[2]     the turn of the deal
-- ARGV[3]     the names of the queues, with commas between
-- Returns     1; 0 when nothing was changed, because a later deal has begun
--
-- A queue that is left out has no part, and takes none from this deal or from an earlier one. A quota that was removed is
-- forgotten with the last of them.

local is_last = redis.call('HGET', settings, 'deal') == ARGV[2] -- @bug:forgets-who-has-parts
if not is_last then return 0 end
-- The first write, as in begin_deal.lua.
redis.call('HDEL', settings, 'dealt_to')
if redis.call('HGET', settings, 'quota') == '' then redis.call('HDEL', settings, 'quota') end
if ARGV[3] ~= '' then redis.call('HSET', settings, 'dealt_to', ARGV[3]) end
return 1
