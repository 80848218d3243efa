-- Take workflows under a lease that are to be looked at: their nodes have been still for a while. Forget those whose time
-- is over, and drafts that were not finished.
--
-- Caller      dispatchers
-- Idempotent  yes: what was leased is returned again after the lease
-- Needs       numbers shards flows workflows
-- KEYS        2-5 as in _flows.lua, written
-- ARGV[2]     how many at most
-- ARGV[3]     ms of the lease
-- ARGV[4]     for how many ms more one is kept that has ended and that the history does not have yet; 0 without a history
-- Returns     {ms until the next look, -1 when there is none; how many were forgotten; ids of those to be looked at}

local now = now_ms()
local found, forgotten = {}, 0
local kept_for, AGAIN_MS = tonumber(ARGV[4]), 60000
local PARTS = {'', ':nodes', ':graph', ':live', ':edges', ':results'}

-- The first write, for a full Redis.
redis.call('ZREM', flow_checks, '')

local function forget(id, state)
  -- A time that is past removes a key at once.
  local maps = redis.pcall('HGET', flows .. id, 'maps')
  for node in string.gmatch(type(maps) == 'string' and maps or '', '%d+') do
    redis.call('PEXPIRE', flows .. id .. ':items:' .. node, '-1')
    redis.call('PEXPIRE', flows .. id .. ':parts:' .. node, '-1')
  end
  for _, part in ipairs(PARTS) do redis.call('PEXPIRE', flows .. id .. part, '-1') end
  leave_shard(id, state)
  redis.call('ZREM', flow_ended, id)
  forgotten = forgotten + 1
end

-- Whether its time is over, but the history may still take it: the database is away.
local function is_awaited(id, state)
  if kept_for == 0 or not ENDED[state] or not redis.call('ZSCORE', flow_ended, id) then return false end
  local flow = open_flow(id)
  local over = tonumber(flow and redis.call('HGET', flow.key, 'finished_at')) or 0
  return flow ~= nil and now < over + tonumber((options_of(flow))) + kept_for
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', flow_checks, '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  local held = redis.pcall('HMGET', flows .. id, 'state', 'counts')
  local state = not held.err and held[1]
  if state and state ~= 'draft' and not ENDED[state] then
    redis.call('ZADD', flow_checks, 'XX', int(now + tonumber(ARGV[3])), id)
    found[#found + 1] = id
  elseif is_awaited(id, state) then
    redis.call('ZADD', flow_checks, 'XX', int(now + AGAIN_MS), id)
  else
    forget(id, state)
  end
end
return {until_first(flow_checks, now), forgotten, found}
