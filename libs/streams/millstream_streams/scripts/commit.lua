-- Commit what became of deliveries: success, another attempt later, death or cancellation.
--
-- Caller      workers
-- Idempotent  by token: the same commit sent again, also within one call, answers 2
-- KEYS        1-6 as in _queue.lua, written
-- ARGV[2]     worker
-- ARGV[3..]   per job five values: outcome; job id; token; ms for which a finished job can be read;
--             result or error (MessagePack). An outcome is one of `succeeded`, `retry_at <ms until then>`,
--             `snoozed <ms until then>`, `dead <error fingerprint> <reason>` and `cancelled <reason>`
-- Returns     per job: 1 committed; 2 this very commit was made before; -1 stale: the job is another delivery's by
--             now; -2 there is no such job
--
-- The first write frees memory, so that the script runs when Redis is full. XACK has no owner: it is the token
-- that keeps a zombie out.

local now = now_ms()
local worker = ARGV[2]
local NIL = '\192' -- in MessagePack; a result that is not there reads as the same
local FIRST = {false, 1, false}
local replies, owned, found, keys, seen = {}, {}, {}, {}, {}
local entries = {{}, {}, {}}
local succeeded, dead, cancelled = {}, {}, {} -- the latter two by reason
local retrying, snoozed = {queued = {}, scheduled = {}}, {queued = {}, scheduled = {}}

for at = 3, #ARGV, 5 do
  local id, token = ARGV[at + 1], ARGV[at + 2]
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'token', 'entry', 'priority', 'version', 'waited')
  local reply = -1
  if not job[1] then
    reply = -2
  elseif seen[id] == token then
    reply = 2
  elseif job[1] == 'running' and job[2] == token then
    reply = 1
    seen[id] = token
    local list = entries[stream_index(job[4])]
    list[#list + 1] = job[3]
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
local function succeed(id, key, job, version, token, attempts, ttl_ms, result, deliveries)
  if result == NIL then
    redis.call('HSET', key, 'state', 'succeeded', 'finished_at', int(now), 'version', int(version),
      'token', token, 'attempts', attempts)
  else
    redis.call('HSET', key, 'state', 'succeeded', 'finished_at', int(now), 'version', int(version),
      'token', token, 'attempts', attempts, 'result', result)
  end
  redis.call('PEXPIRE', key, ttl_ms)
  if job[6] then hint('settled', id) end
  note(succeeded, id, version, deliveries)
end

local function cancel(id, job, version, token, ttl_ms, reason, deliveries)
  finish(id, 'cancelled', version, now, ttl_ms, job[6], 'done_token', token, 'reason', reason)
  cancelled[reason] = cancelled[reason] or {}
  note(cancelled[reason], id, version, deliveries)
end

local function die(id, job, version, token, attempts, rest, error, deliveries)
  local fingerprint, reason = string.match(rest, '^(%S*) (.*)$')
  bury(id, reason, fingerprint, version, now, job[6], 'done_token', token, 'attempts', attempts, 'error', error)
  dead[reason] = dead[reason] or {}
  note(dead[reason], id, version, deliveries)
end

local function postpone(kind, id, job, version, token, attempts, delay_ms, error, deliveries)
  local key = jobs .. id
  redis.call('HSET', key, 'done_token', token)
  if kind == 'retry_at' then redis.call('HSET', key, 'attempts', attempts, 'error', error) end
  if delay_ms > 0 then
    make_scheduled(id, now + delay_ms, version)
  else
    make_ready(id, job[4], version, now)
  end
  local moves = kind == 'retry_at' and retrying or snoozed
  note(moves[delay_ms > 0 and 'scheduled' or 'queued'], id, version, deliveries)
end

local function commit(at, job, key)
  local outcome, id, token, ttl_ms, blob = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local version, past = next_version(job[5]), FIRST
  -- Version 2 has been stored and claimed and nothing else: most jobs. Each field that is asked for costs time.
  if job[5] ~= '2' then past = redis.call('HMGET', jobs .. id, 'attempts', 'deliveries', 'cancel') end
  local attempts, deliveries = int((tonumber(past[1]) or 0) + 1), past[2]
  if outcome == 'succeeded' then return succeed(id, key, job, version, token, attempts, ttl_ms, blob, deliveries) end
  local kind, rest = string.match(outcome, '^(%S+) (.*)$')
  if kind == 'cancelled' then return cancel(id, job, version, token, ttl_ms, rest, deliveries) end
  -- Somebody asked for its end while it ran: there will be no other attempt.
  if past[3] then return cancel(id, job, version, token, ttl_ms, 'cancelled', deliveries) end
  if kind == 'dead' then return die(id, job, version, token, attempts, rest, blob, deliveries) end
  postpone(kind, id, job, version, token, attempts, tonumber(rest), blob, deliveries)
end

for place, at in ipairs(owned) do commit(at, found[place], keys[place]) end
emit('succeeded', 'succeeded', now, worker, succeeded)
for reason, moves in pairs(dead) do emit('dead', 'dead', now, worker, moves, reason) end
for reason, moves in pairs(cancelled) do emit('cancelled', 'cancelled', now, worker, moves, reason) end
for state, moves in pairs(retrying) do emit('retrying', state, now, worker, moves) end
for state, moves in pairs(snoozed) do emit('snoozed', state, now, worker, moves) end
return replies
