-- Cancel a batch: it takes no more members, and the jobs of those that have not ended are asked to stop.
--
-- Caller      ingest
-- Idempotent  yes
-- Needs       numbers shards flows batches
-- KEYS        1-2, 4 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     reason
-- Returns     2 asked for; 0 it was before; -1 it has ended; -2 there is no such batch

-- The first write: operators cancel when Redis is full.
redis.call('ZREM', flow_outbox, '')
local now = now_ms()
local batch = open_batch(ARGV[2])
if not batch then return -2 end
if ENDED[batch.state] then return -1 end
if batch.cancel then return 0 end
redis.call('HSET', batch.key, 'closed', '1', 'cancel', '1', 'reason', ARGV[3])
batch.closed, batch.cancel, batch.is_changed = '1', '1', true
put_out(now, 'x ' .. batch.id) -- @bug:members-run-on
close_batches(now)
return 2
