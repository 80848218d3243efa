-- Close a batch: it takes no more members, but for those that its members add.
--
-- Caller      ingest
-- Idempotent  yes
-- Needs       numbers shards flows batches
-- KEYS        1-2, 4 as in _flows.lua, written
-- ARGV[2]     id
-- Returns     1 closed; 0 it was before; -2 there is no such batch

-- The first write: operators close batches when Redis is full.
redis.call('ZREM', flow_outbox, '')
local now = now_ms()
local batch = open_batch(ARGV[2])
if not batch then return -2 end
if batch.closed then return 0 end
redis.call('HSET', batch.key, 'closed', '1')
batch.closed, batch.is_changed = '1', true
close_batches(now)
return 1
