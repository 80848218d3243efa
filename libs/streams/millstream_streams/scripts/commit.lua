-- Commit what became of deliveries: success, another attempt later, death or cancellation.
--
-- Caller      workers
-- Idempotent  by token: the same commit sent again, also within one call, answers 2
-- KEYS        1-6 as in _queue.lua, written
-- ARGV[2]     worker
-- ARGV[3..]   per job five values: what became of it; job id; token; entry id; result or error (MessagePack).
--             The first is `<priority index 1..3> <ms for which a finished job can be read> <outcome>`, and an outcome
--             one of `succeeded`, `retry_at <ms until then>`, `snoozed <ms until then>`,
--             `dead <error fingerprint> <reason>` and `cancelled <reason>`
-- Returns     per job: 1 committed; 2 this very commit was made before; -1 stale: the job is another delivery's by
--             now; -2 there is no such job
--
-- The first write frees memory, so that the script runs when Redis is full. XACK has no owner: it is the token
-- that keeps a zombie out. The token also proves that index and entry, which the worker was told with it, are still
-- the job's own: to ask for them again would cost more than to have them sent.

local now = now_ms()
local worker = ARGV[2]
local NIL = '\192' -- in MessagePack; a result that is not there reads as the same
local replies, owned, found, keys, seen = {}, {}, {}, {}, {}
local entries = {{}, {}, {}}
local succeeded, dead, cancelled = {}, {}, {} -- the latter two by reason
local retrying, snoozed = {queued = {}, scheduled = {}}, {queued = {}, scheduled = {}}

-- Most jobs of a call share one text.
local ends = {}
local function read_end(text)
  local read = ends[text]
  if not read then
    local index, ttl_ms, outcome = string.match(text, '^([123]) (%d+) (.*)$')
    read = {index = tonumber(index), ttl_ms = ttl_ms, outcome = outcome}
    ends[text] = read
  end
  return read
end

for at = 3, #ARGV, 5 do
  local id, token = ARGV[at + 1], ARGV[at + 2]
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'token', 'version', 'waited')
  local reply = -1
  if not job[1] then
    reply = -2
  elseif seen[id] == token then
    reply = 2
  elseif job[1] == 'running' and job[2] == token then
    reply = 1
    seen[id] = token
    local list = entries[read_end(ARGV[at]).index]
    list[#list + 1] = ARGV[at + 3]
    owned[#owned + 1] = at
    found[#owned] = job
    keys[#owned] = key
  elseif was_committed(job[1], job[2], redis.call('HGET', key, 'done_token'), token) then
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

-- As finish() does it, but what happens to most jobs writes no more than it must: the token stays where it is. It is
-- written all the same, as a record of whose commit this was that owes nothing to the comparison above.
local function succeed(id, key, job, version, token, past, ttl_ms, result)
  if result == NIL then
    redis.call('HSET', key, 'state', 'succeeded', 'finished_at', int(now), 'token', token)
  else
    redis.call('HSET', key, 'state', 'succeeded', 'finished_at', int(now), 'token', token, 'result', result)
  end
  if past then redis.call('HSET', key, 'version', int(version), 'attempts', past.attempts) end
  redis.call('PEXPIRE', key, ttl_ms)
  if job[4] then hint('settled', id) end
  note(succeeded, id, version, past and past.deliveries or 1)
end

local function cancel(id, job, version, token, ttl_ms, reason, past)
  finish(id, 'cancelled', version, now, ttl_ms, job[4], 'done_token', token, 'reason', reason)
  cancelled[reason] = cancelled[reason] or {}
  note(cancelled[reason], id, version, past.deliveries)
end

local function die(id, job, version, token, rest, error, past)
  local fingerprint, reason = string.match(rest, '^(%S*) (.*)$')
  bury(id, reason, fingerprint, version, now, job[4], 'done_token', token, 'attempts', past.attempts, 'error', error)
  dead[reason] = dead[reason] or {}
  note(dead[reason], id, version, past.deliveries)
end

local function postpone(kind, id, key, version, token, delay_ms, error, past)
  redis.call('HSET', key, 'done_token', token)
  if kind == 'retry_at' then redis.call('HSET', key, 'attempts', past.attempts, 'error', error) end
  if delay_ms > 0 then
    make_scheduled(id, now + delay_ms, version)
  else
    make_ready(id, past.priority, version, now)
  end
  local moves = kind == 'retry_at' and retrying or snoozed
  note(moves[delay_ms > 0 and 'scheduled' or 'queued'], id, version, past.deliveries)
end

-- What a delivery has behind it, and this attempt.
local function past_of(key)
  local past = redis.call('HMGET', key, 'attempts', 'deliveries', 'cancel', 'priority')
  local attempts, deliveries = int((tonumber(past[1]) or 0) + 1), tonumber(past[2]) or 1
  return {attempts = attempts, deliveries = deliveries, cancel = past[3], priority = past[4]}
end

local function commit(at, job, key)
  local last, id, token, blob = read_end(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 4]
  local outcome, ttl_ms, version = last.outcome, last.ttl_ms, next_version(job[3], job[1])
  if outcome == 'succeeded' then
    -- Without a version there is nothing behind it: most jobs. Each field that is asked for or written costs time.
    return succeed(id, key, job, version, token, job[3] and past_of(key), ttl_ms, blob)
  end
  local past = past_of(key)
  local kind, rest = string.match(outcome, '^(%S+) (.*)$')
  if kind == 'cancelled' then return cancel(id, job, version, token, ttl_ms, rest, past) end
  -- Somebody asked for its end while it ran: there will be no other attempt.
  if past.cancel then return cancel(id, job, version, token, ttl_ms, 'cancelled', past) end
  if kind == 'dead' then return die(id, job, version, token, rest, blob, past) end
  postpone(kind, id, key, version, token, tonumber(rest), blob, past)
end

for place, at in ipairs(owned) do commit(at, found[place], keys[place]) end
emit('succeeded', 'succeeded', now, worker, succeeded)
for reason, moves in pairs(dead) do emit('dead', 'dead', now, worker, moves, reason) end
for reason, moves in pairs(cancelled) do emit('cancelled', 'cancelled', now, worker, moves, reason) end
for state, moves in pairs(retrying) do emit('retrying', state, now, worker, moves) end
for state, moves in pairs(snoozed) do emit('snoozed', state, now, worker, moves) end
return replies
