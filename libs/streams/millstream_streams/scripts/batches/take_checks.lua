-- Take batches under a lease that are to be looked at: promises have run out, or members or callbacks have been still for
-- a while. Close those whose time to do so has come, and forget those that have ended long ago.
--
-- Caller      dispatchers
-- Idempotent  yes: what was leased is returned again after the lease
-- Needs       numbers shards flows batches
-- KEYS        1-4 as in _flows.lua, written
-- ARGV[2]     how many at most
-- ARGV[3]     ms of the lease
-- ARGV[4]     how many promises that have run out at most, of each batch
-- Returns     {ms until the next look, -1 when there is none; how many were forgotten; per batch its id, the ms for which
--             it has been still, and promised job ids, each with the Unix ms at which its promise ended}

local now = now_ms()
local found, forgotten = {}, 0
local FORGOTTEN_A_CALL = 1000

-- The first write, for a full Redis.
redis.call('ZREM', flow_checks, '')

-- A batch of a hundred thousand members is forgotten in many calls: a script must not stand still.
local function forget(id, state)
  local members = flows .. id .. ':members'
  local some = redis.pcall('ZRANGE', members, 0, FORGOTTEN_A_CALL - 1)
  -- A time that is past removes a key at once.
  redis.call('PEXPIRE', flows .. id, '-1')
  if not some.err and #some == FORGOTTEN_A_CALL then
    redis.call('ZREM', flow_index, id)
    if ENDED[state] then redis.call('HINCRBY', flow_totals, state, -1) end
    return redis.call('ZREM', members, unpack(some))
  end
  redis.call('PEXPIRE', members, '-1')
  leave_shard(id, state)
  forgotten = forgotten + 1
end

local function is_over(batch)
  if not ENDED[batch.state] then return false end
  local finished = tonumber(redis.call('HGET', batch.key, 'finished_at')) or 0
  return now >= finished + tonumber(batch.retention) and not awaits_callbacks(batch, 'g')
end

local function expire(batch)
  local closes_at = tonumber(redis.call('HGET', batch.key, 'closes_at'))
  if batch.closed or not closes_at or now < closes_at then return end
  redis.call('HSET', batch.key, 'closed', '1', 'reason', 'expired')
  batch.closed, batch.is_changed = '1', true
end

local function look(id)
  local batch = open_batch(id)
  if not batch then
    local held = redis.pcall('HGET', flows .. id, 'state')
    return forget(id, type(held) == 'string' and held or '')
  end
  if is_over(batch) then return forget(id, batch.state) end
  redis.call('ZADD', flow_checks, 'XX', int(now + tonumber(ARGV[3])), id)
  local still = math.max(0, now - math.floor(batch.turn / 1000))
  expire(batch)
  found[#found + 1] = {id, int(still), unpack(redis.call('ZRANGEBYSCORE', batch.members, '0', int(now), 'WITHSCORES',
    'LIMIT', 0, ARGV[4]))}
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', flow_checks, '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  -- pcall: what another program has written stops one batch, which is forgotten when its hash is no batch.
  if not pcall(look, id) then redis.call('ZADD', flow_checks, 'XX', int(now + CHECK_AFTER_MS), id) end
end
close_batches(now)
return {until_first(flow_checks, now), forgotten, found}
