-- Tell blocked jobs of this queue in which state their parents are. The last one that a job waits for makes it ready.
--
-- Caller      ingest, workers and dispatchers
-- Idempotent  by edge: each parent of a job counts once
-- Needs       numbers queue past moves gate dependents
-- KEYS        1-6, 8 as in _queue.lua, written; 7 read
-- ARGV[2]     ms for which a job can be read that is cancelled by this
-- ARGV[3..]   per edge three values: job id of the child; job id of the parent; state of the parent, or `unknown`
-- Returns     per job that is told: 1 the child is ready, or waits for its time; 0 noted, or told before; 2 kept,
--             because the parent has not ended; 3 the child is cancelled by this; 4 it is dead, because the parent is
--             unknown; -2 there is no such job

local now = now_ms()
local ttl_ms = ARGV[2]
local replies, queued, scheduled, ended, died = {}, {}, {}, {}, {}

-- Its time counts from now, when it was given as a delay.
local function start(id, version, deliveries, priority, delay, run_at)
  unblock(id)
  local delay_ms = tonumber(delay)
  local at = delay_ms and now + delay_ms or tonumber(run_at)
  if at and at > now then
    make_scheduled(id, at, version)
    record(scheduled, id, version, deliveries)
  else
    redis.call('HDEL', jobs .. id, 'run_at', 'calls')
    make_ready(id, priority, version, now)
    record(queued, id, version, deliveries)
  end
  return 1
end

local function die(id, version, parent, waited)
  unblock(id)
  redis.call('ZREM', expiring, id)
  local message = 'the job ' .. parent .. ', for which this one waited, is not known any more'
  local error = cmsgpack.pack({type = 'parent_unknown', message = message, fingerprint = 'parent_unknown'})
  bury(id, 'parent_unknown', 'parent_unknown', version, now, waited, 'because_of', parent, 'error', error)
  record(died, id, version, 0)
  return 4
end

local function cancel(id, version, parent, reason, waited)
  unblock(id)
  redis.call('ZREM', expiring, id)
  finish(id, 'cancelled', version, now, ttl_ms, waited, 'reason', reason, 'because_of', parent)
  ended[reason] = ended[reason] or {}
  record(ended[reason], id, version, 0)
  return 3
end

local function is_open(id, parent)
  local found = redis.pcall('SISMEMBER', open_key(id), parent)
  return found == 1
end

local function resolve(id, parent, outcome)
  local job = redis.pcall('HMGET', jobs .. id, 'state', 'version', 'after_failure', 'priority', 'waited', 'delay',
    'run_at', 'calls', 'deliveries', 'started_at')
  if job.err or not job[1] then return -2 end
  local state, old_version, policy, priority, waited, delay, run_at, calls, number, started_at = unpack(job)
  if state ~= 'blocked' or not is_open(id, parent) then return 0 end -- @bug:started-twice
  local version, deliveries = next_version(old_version, state), deliveries_of(number, started_at)
  -- Its handler has called the parent, and decides about whatever has become of it.
  if calls then policy, delay, run_at = 'run', nil, nil end
  local is_done = outcome == 'succeeded' or policy == 'run' and (SETTLED[outcome] or outcome == 'unknown')
  if is_done then
    -- The first write.
    redis.call('SREM', open_key(id), parent)
    if redis.call('SCARD', open_key(id)) > 0 then return 0 end -- @bug:first-parent-suffices
    return start(id, version, deliveries, priority, delay, run_at)
  end
  if outcome == 'unknown' then return die(id, version, parent, waited) end
  if not SETTLED[outcome] or outcome == 'dead' and policy ~= 'cancel' then return 2 end -- @bug:dead-ends
  return cancel(id, version, parent, 'parent_' .. outcome, waited)
end

for at = 3, #ARGV, 3 do replies[#replies + 1] = resolve(ARGV[at], ARGV[at + 1], ARGV[at + 2]) end
settle()
append_event('unblocked', 'queued', now, '', queued)
append_event('unblocked', 'scheduled', now, '', scheduled)
for reason, transitions in pairs(ended) do append_event('cancelled', 'cancelled', now, '', transitions, reason) end
append_event('dead', 'dead', now, '', died, 'parent_unknown')
return replies
