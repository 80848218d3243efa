-- Commit what became of deliveries: success, another attempt later, death or cancellation.
--
-- Caller      workers
-- Idempotent  by token: the same commit sent again, also within one call, answers 2
-- KEYS        1-6 as in _queue.lua, written
-- ARGV[2]     worker
-- ARGV[3..]   per job eight values: kind (succeeded, retry_at, snoozed, dead, cancelled); job id; token;
--             ms for which a finished job can be read; ms until the next delivery; result or error (MessagePack);
--             reason; error fingerprint
-- Returns     per job: 1 committed; 2 this very commit was made before; -1 stale: the job is another delivery's by
--             now; -2 there is no such job
--
-- The first write frees memory, so that the script runs when Redis is full. XACK has no owner: it is the token
-- that keeps a zombie out.

local now = now_ms()
local worker = ARGV[2]
local replies, owned, seen = {}, {}, {}
local entries = {{}, {}, {}}
local moved = {succeeded = {}, retrying = {}, snoozed = {}, dead = {}, cancelled = {}}

for at = 3, #ARGV, 8 do
  local id, token = ARGV[at + 1], ARGV[at + 2]
  local job = redis.call('HMGET', jobs .. id, 'state', 'token', 'done_token', 'entry', 'priority', 'version',
    'attempts', 'deliveries', 'cancel', 'waited')
  local reply = -1
  if not job[1] then
    reply = -2
  elseif seen[id] == token then
    reply = 2
  elseif job[1] == 'running' and job[2] == token then
    reply = 1
    seen[id] = token
    table.insert(entries[stream_index(job[5])], job[4])
    owned[#owned + 1] = {at, job}
  elseif job[3] == token then
    reply = 2
  end
  replies[#replies + 1] = reply
end

for index = 1, 3 do
  if #entries[index] > 0 then
    redis.call('XACK', ready[index], GROUP, unpack(entries[index]))
    redis.call('XDEL', ready[index], unpack(entries[index]))
  end
end

local function note(kind, id, version, state, job, detail)
  table.insert(moved[kind], transition(id, version, state, job[8], detail))
end

local function commit(at, job)
  local kind, id, token, ttl_ms = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local delay_ms, blob, reason, fingerprint = tonumber(ARGV[at + 4]), ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  local version, waited = next_version(job[6]), job[10]
  local attempts = int((tonumber(job[7]) or 0) + 1)
  if kind == 'succeeded' then
    finish(id, 'succeeded', version, now, ttl_ms, waited, 'done_token', token, 'attempts', attempts, 'result', blob)
    return note('succeeded', id, version, 'succeeded', job)
  end
  if kind == 'cancelled' or job[9] then
    -- Somebody asked for its end while it ran: there will be no other attempt.
    reason = kind == 'cancelled' and reason or 'cancelled'
    finish(id, 'cancelled', version, now, ttl_ms, waited, 'done_token', token, 'reason', reason)
    return note('cancelled', id, version, 'cancelled', job, reason)
  end
  if kind == 'dead' then
    bury(id, reason, fingerprint, version, now, waited, 'done_token', token, 'attempts', attempts, 'error', blob)
    return note('dead', id, version, 'dead', job, reason)
  end
  local key = jobs .. id
  redis.call('HSET', key, 'done_token', token)
  if kind == 'retry_at' then redis.call('HSET', key, 'attempts', attempts, 'error', blob) end
  if delay_ms > 0 then
    make_scheduled(id, now + delay_ms, version)
  else
    make_ready(id, job[5], version, now)
  end
  note(kind == 'retry_at' and 'retrying' or 'snoozed', id, version, delay_ms > 0 and 'scheduled' or 'queued', job)
end

for _, one in ipairs(owned) do commit(one[1], one[2]) end
for kind, transitions in pairs(moved) do emit(kind, now, worker, transitions) end
return replies
