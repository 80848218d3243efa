-- Part `moves`: the moves that more than one script makes, their events and their hints. Needs `numbers` and `queue`.

local INDEX = {high = 1, normal = 2, low = 3}

-- The priority field is absent for `normal`, the usual case, to keep a waiting job small.
local function stream_index(priority) return INDEX[priority or 'normal'] or 2 end

-- Hints travel by publish/subscribe and may be lost: what one would have told is found by the next look.
-- pcall: a user without rights on channels must not end a transition in the middle.
local function hint(topic, message)
  local namespace = string.match(jobs, '^(.-):{')
  redis.pcall('PUBLISH', namespace .. ':hints:' .. topic, message)
end

-- Transitions of one kind stand in one flat array, three values a job: a table for each would cost as much again.
-- `record` and `count` alone know that form here, `specs.read_event` in Python.
local function record(transitions, id, version, deliveries)
  local last = #transitions
  transitions[last + 1], transitions[last + 2], transitions[last + 3] = id, version, deliveries
end

local function count(transitions) return #transitions / 3 end

-- What is known of the attempt of each job of such an array, two values a job: its number, and the ms for which the job
-- was ready before it, of a start, or for which it ran, of what ends it; ABSENT where that is not known. They travel in a
-- field of their own, which older readers pass over. It is recorded for all jobs of an array, or for none.
local ABSENT = -1
local runs, errors = {}, {}
local function record_run(transitions, attempt, ms)
  local list = runs[transitions]
  if not list then
    list = {}
    runs[transitions] = list
  end
  local last = #list
  list[last + 1], list[last + 2] = attempt, ms
end

local function ms_since(started_at, now)
  local began = tonumber(started_at)
  return began and math.max(0, now - began) or ABSENT
end

-- The error of a failed attempt (MessagePack), for all jobs of an array or for none: the hash keeps the last one alone.
local function record_error(transitions, error)
  local list = errors[transitions]
  if not list then
    list = {}
    errors[transitions] = list
  end
  list[#list + 1] = error
end

-- Errors are large. They travel only where a group may store them.
local function keeps_errors()
  local groups = redis.pcall('XINFO', 'GROUPS', events)
  return not groups.err and #groups > 0
end

-- Append one event for all jobs that this call moved in the same way. `detail` is the reason of a death or a
-- cancellation, if any.
local function append_event(kind, state, now, worker, transitions, detail)
  if #transitions == 0 then return end
  local fields = {'kind', kind, 'state', state, 'at', int(now), 'worker', worker, 'detail', detail or '',
    'jobs', cmsgpack.pack(transitions)}
  local run, failed = runs[transitions], errors[transitions]
  if run then
    fields[13], fields[14] = 'runs', cmsgpack.pack(run)
  end
  if failed and keeps_errors() then
    fields[#fields + 1], fields[#fields + 2] = 'errors', table.concat(failed)
  end
  redis.call('XADD', events, '*', unpack(fields))
end

-- Take an entry out of a ready stream. Acknowledging without deleting would let the stream grow for ever.
local function drop_entry(stream, entry)
  redis.call('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry) -- @bug:entry-stays
end

-- Make a job ready. Clears the token: the worker that held the job can no longer commit.
local function make_ready(id, priority, version, now)
  local entry = redis.call('XADD', ready[stream_index(priority)], '*', 'id', id)
  redis.call('HSET', jobs .. id, 'state', 'queued', 'entry', entry, 'ready_at', int(now),
    'version', int(version), 'token', '')
end

-- Make a job wait for a time. Hints at the dispatchers when no other is due before it.
local function make_scheduled(id, run_at, version)
  local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  redis.call('ZADD', due, int(run_at), id) -- @bug:not-in-due
  redis.call('HSET', jobs .. id, 'state', 'scheduled', 'run_at', int(run_at), 'version', int(version), 'token', '')
  if head[1] == nil or run_at < tonumber(head[2]) then
    hint('due', string.match(jobs, '{(.-)}'))
  end
end

-- zset by Unix ms: the jobs that have settled and whose listeners have to be told, by when to tell them (again)
local function outbox_key() return string.sub(jobs, 1, -5) .. 'outbox' end

-- Tell those who wait for a job that has settled. `waited` is its field of that name, one letter for each kind of them:
-- `1` a client waits for a hint; `k` blocked jobs wait. A letter of a newer release is a kind of listener.
-- Returns whether it has listeners that dispatchers must tell first: then it stays readable until they have.
local function tell(id, waited, now)
  if string.find(waited, '1', 1, true) then hint('settled', id) end
  if waited == '1' then return false end
  -- pcall: a key that something else has written must not end a transition in the middle. The linker finds it as well.
  local head = redis.pcall('ZRANGE', outbox_key(), 0, 0, 'WITHSCORES')
  if head.err then return false end
  redis.call('ZADD', outbox_key(), int(now), id) -- @bug:not-in-outbox
  if head[1] == nil or now < tonumber(head[2]) then hint('outbox', string.match(jobs, '{(.-)}')) end
  return true
end

-- Let a job that has ended be forgotten after ttl_ms, which begins once its listeners have been told.
local function forget_later(id, key, now, ttl_ms, waited)
  if waited and tell(id, waited, now) then
    redis.call('HSET', key, 'ttl', ttl_ms)
  else
    redis.call('PEXPIRE', key, ttl_ms) -- @bug:immortal
  end
end

-- End a job for good. Its hash stays readable for ttl_ms.
local function finish(id, state, version, now, ttl_ms, waited, ...)
  local key = jobs .. id
  redis.call('HSET', key, 'state', state, 'finished_at', int(now), 'version', int(version), 'token', '', ...)
  forget_later(id, key, now, ttl_ms, waited)
end

-- Put a job among the dead letters. Its hash stays until an operator decides.
local function bury(id, reason, fingerprint, version, now, waited, ...)
  local entry = redis.call('XADD', dlq, '*', 'id', id, 'reason', reason, 'fingerprint', fingerprint, 'at', int(now))
  redis.call('HSET', jobs .. id, 'state', 'dead', 'dead_entry', entry, 'finished_at', int(now), 'reason', reason,
    'version', int(version), 'token', '', ...)
  if waited then tell(id, waited, now) end
end
