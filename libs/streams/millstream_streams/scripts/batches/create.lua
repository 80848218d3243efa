-- Store a new batch, without members.
--
-- Caller      ingest
-- Idempotent  by id; also when the batch was forgotten, while its fingerprint is kept
-- Needs       numbers shards flows batches
-- KEYS        1-4 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     fingerprint of the request; empty without an idempotency key
-- ARGV[4]     ms for which the fingerprint is kept
-- ARGV[5]     '1' when it takes more members, until it is closed
-- ARGV[6]     Unix ms at which it closes itself
-- ARGV[7]     fields and values of its hash (MessagePack array of strings)
-- Returns     1 stored; 2 it was stored before, by this request; -1 its id is that of another request
--
-- Its first write needs memory: a full Redis takes no new batches.

local now = now_ms()
local id, fingerprint = ARGV[2], ARGV[3]
local key = flows .. id

local seen = redis.call('HGET', key, 'fingerprint') or fingerprint ~= '' and redis.call('GET', remembered_key(id))
if seen and seen ~= fingerprint then return -1 end
if seen then return 2 end -- @bug:created-twice

redis.call('HSET', key, 'state', 'open', 'counts', '0 0 0 0 0', 'turn', turn_after(0, now), 'created_at', int(now),
  'closes_at', ARGV[6], 'fingerprint', fingerprint, unpack(cmsgpack.unpack(ARGV[7])))
add_to_shard(id, 'open', now)
redis.call('ZADD', flow_checks, 'LT', ARGV[6], id)
if fingerprint ~= '' then redis.call('SET', remembered_key(id), fingerprint, 'PX', ARGV[4]) end
if ARGV[5] ~= '1' then
  local batch = open_batch(id)
  redis.call('HSET', key, 'closed', '1')
  batch.closed, batch.is_changed = '1', true
  close_batches(now)
end
return 1
