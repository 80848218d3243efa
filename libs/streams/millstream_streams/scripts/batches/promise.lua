-- Promise members to a batch, under a lease: their submitter stores their jobs within it, or never.
--
-- Caller      ingest, and workers for a member that adds
-- Idempotent  by job id: a promise that is repeated lasts for longer
-- Needs       numbers shards flows batches
-- KEYS        1-2, 4 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     ms of the lease
-- ARGV[4]     how many members a batch may have
-- ARGV[5]     id of the member that adds; empty for none
-- ARGV[6..]   job ids
-- Returns     1 done; -1 it takes no more; -2 there is no such batch; -3 it would have too many
--
-- A job that is dead may have been redriven, which its batch may not know yet: it may add.

local now = now_ms()
local lease, most, by = now + tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local batch = open_batch(ARGV[2])
if not batch then return -2 end
if batch.cancel then return -1 end
if batch.closed then
  local score = by ~= '' and redis.call('ZSCORE', batch.members, by)
  if not score or rank_of(tonumber(score)) > DEAD then return -1 end -- @bug:adds-after-its-end
end

local ids = {}
for at = 6, #ARGV do ids[#ids + 1] = ARGV[at] end
if #ids == 0 then return 1 end
local rows, fresh = {}, 0
for at, score in ipairs(redis.call('ZMSCORE', batch.members, unpack(ids))) do
  if not score then fresh = fresh + 1 end
  if not score or rank_of(tonumber(score)) == PROMISED then
    rows[#rows + 1], rows[#rows + 2] = int(PROMISED * UNIT + lease), ids[at]
  end
end
if fresh > 0 and redis.call('ZCARD', batch.members) + fresh > most then return -3 end
if #rows > 0 then
  redis.call('ZADD', batch.members, unpack(rows))
  redis.call('ZADD', flow_checks, 'LT', int(lease), batch.id)
  batch.is_changed = true
end
close_batches(now)
return 1
