-- Part `flows`: one shard of what is followed until all of its jobs have ended, workflows or batches. Needs `numbers`
-- and `shards`.
--
-- KEYS[1]     zset    outbox: what is to be done for them, by the Unix ms from which a dispatcher may take it
-- KEYS[2]     zset    checks: one by the Unix ms at which the auditor looks at it, or forgets it
-- KEYS[3]     zset    index: one by the Unix ms of its creation, later by some us than those before it
-- KEYS[4]     hash    totals: how many are in a state
-- KEYS[5]     zset    ended: workflows that have ended and that the history does not have yet, by the Unix ms from which
--                     a dispatcher may take them; without a history they leave it when they are forgotten
-- KEYS[6]     none    never: as in _queue.lua
-- ARGV[1]     string  prefix of their keys: `<namespace>:{<tag>}:flow:`, or `…:batch:`
--
-- The hash of each, at its id, has `state`, `finished_at`, and `turn`, which grows with each change and is not before
-- 1,000 times its Unix ms.

local flow_outbox, flow_checks, flow_index, flow_totals = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local flows = ARGV[1]

local ENDED = {succeeded = true, failed = true, cancelled = true}
-- How a job has settled; of one that is gone, as that it was cancelled.
local LETTERS = {succeeded = 'S', dead = 'D', cancelled = 'X', expired = 'E', unknown = 'X'}
local CHECK_AFTER_MS = 60000

local flows_ended = {}

-- string: the fingerprint of the request that has created it
local function remembered_key(id) return string.match(flows, '^(.-:{.-}:)') .. 'idempotency:' .. id end

-- What a call puts into the outbox, which is due now. It is written at the end of the call.
local put = {}
local function put_out(now, entry)
  local last = #put
  put[last + 1], put[last + 2] = int(now), entry
end

local function write_outbox(now)
  if #put == 0 then return end
  wake_before(flow_outbox, now)
  for at = 1, #put, 1000 do redis.call('ZADD', flow_outbox, unpack(put, at, math.min(#put, at + 999))) end
end

-- A new one. No two have the same place in lists.
local function add_to_shard(id, state, now)
  local newest = redis.call('ZRANGE', flow_index, -1, -1, 'WITHSCORES')
  redis.call('ZADD', flow_index, string.format('%.3f', math.max(now, (tonumber(newest[2]) or 0) + 0.001)), id)
  redis.call('ZADD', flow_checks, int(now + CHECK_AFTER_MS), id)
  redis.call('HINCRBY', flow_totals, state, 1)
end

local function turn_after(turn, now) return int(math.max(turn + 1, now * 1000)) end

-- How many are in a state now that were not before this call.
local entered = {}
local function write_totals()
  for state, number in pairs(entered) do redis.call('HINCRBY', flow_totals, state, number) end
  entered = {}
end

-- Note the state in which one is now, and further fields of its hash. It is kept for its retention once it has ended, and
-- for as long as it takes before. `write_totals` belongs to it, at the end of the call.
local function enter_state(flow, state, retention_ms, now, ...)
  if state == flow.state then return redis.call('HSET', flow.key, ...) end
  entered[flow.state], entered[state] = (entered[flow.state] or 0) - 1, (entered[state] or 0) + 1
  if ENDED[state] then
    redis.call('HSET', flow.key, 'state', state, 'finished_at', int(now), ...)
    redis.call('ZADD', flow_checks, int(now + tonumber(retention_ms)), flow.id)
    flows_ended[#flows_ended + 1] = flow.id
  else
    redis.call('HSET', flow.key, 'state', state, ...)
    if ENDED[flow.state] then
      redis.call('HDEL', flow.key, 'finished_at')
      redis.call('ZADD', flow_checks, int(now + CHECK_AFTER_MS), flow.id)
    end
  end
  flow.state = state
end

-- Take one whose time is over, and whose keys are removed, from the shard.
local function leave_shard(id, state)
  redis.call('ZREM', flow_checks, id)
  redis.call('ZREM', flow_index, id)
  if ENDED[state] then redis.call('HINCRBY', flow_totals, state, -1) end
end

-- Unix ms of the next look at one that has been still for a while: half of that time, within these bounds.
local function next_look(turn, shortest, longest, now)
  local still = math.max(0, now - math.floor(turn / 1000))
  return now + math.min(longest, math.max(shortest, math.floor(still / 2)))
end
