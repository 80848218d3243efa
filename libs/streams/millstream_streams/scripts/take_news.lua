-- Lease jobs that have settled, and whose listeners have to be told.
--
-- Caller      dispatchers; any number at once
-- Idempotent  yes: what was leased is returned again after the lease, in the state that it is in then
-- Needs       numbers queue past moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2]     how many jobs at most, 100 or fewer
-- ARGV[3]     ms of the lease
-- ARGV[4]     how many children of a job at most
-- Returns     {ms until there is more to tell: 0 when there is now, -1 when there is nothing; per job its id, its state
--             or `unknown`, its version, what it is of a workflow or '', its result (MessagePack) when that wants it or
--             '', and then the children that do not know this version}

local now = now_ms()
local lease = int(now + tonumber(ARGV[3]))
local found, leases = {}, {}
-- Results are large, and an answer of many would be held up by a slow reader.
local MAX_BYTES, bytes = 2 * 1024 * 1024, 0

local function erased_flow(id)
  local flow = redis.pcall('HGET', erased_key(), id)
  return type(flow) == 'string' and flow or ''
end

local function result_of(id, state, waited)
  if state ~= 'succeeded' or not string.find(waited, 'r', 1, true) then return '' end
  local result = redis.call('HGET', jobs .. id, 'result') or ''
  bytes = bytes + #result
  return result
end

local function take(id)
  local job = redis.pcall('HMGET', jobs .. id, 'state', 'version', 'waited', 'flow', 'ttl')
  local state = not job.err and job[1] or 'unknown'
  local version = state == 'unknown' and GONE or version_of(job[2], state)
  local children, waited = {}, not job.err and job[3] or ''
  local flow = state == 'unknown' and erased_flow(id) or not job.err and job[4] or ''
  -- One that was redriven since has nothing to tell until it settles again, which puts it here again.
  if state == 'unknown' or SETTLED[state] and string.find(waited, 'k', 1, true) then
    local reply = redis.pcall('ZRANGEBYSCORE', children_key(id), '-inf', '(' .. int(version), 'LIMIT', 0, ARGV[4])
    if not reply.err then children = reply end
  end
  if #children == 0 and flow == '' then return settle_news(id, job[5]) end
  leases[#leases + 1], leases[#leases + 2] = lease, id
  found[#found + 1] = {id, state, int(version), flow, result_of(id, state, waited), unpack(children)}
end

-- The first write, for a full Redis.
redis.call('ZREM', outbox_key(), '')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox_key(), '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  if bytes <= MAX_BYTES then take(id) end
end
if #leases > 0 then redis.call('ZADD', outbox_key(), 'XX', unpack(leases)) end
return {until_first(outbox_key(), now), found}
