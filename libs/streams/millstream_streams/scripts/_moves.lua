-- Part `moves`: the moves that more than one script makes, their events and their hints. Needs `numbers` and `queue`.

-- The gate of a queue with limits, which part `gate` opens: scripts that move jobs out of a lane or into one need that.
local gate

-- Read the limits of a queue as its settings have them; nil for what this release cannot read.
local function read_limits(packed)
  local is_read, flow = pcall(cmsgpack.unpack, packed)
  return is_read and type(flow) == 'table' and flow or nil
end

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
local runs, errors, lines = {}, {}, {}
local function record_run(transitions, attempt, ms)
  local list = runs[transitions]
  if not list then
    list = {}
    runs[transitions] = list
  end
  local last = #list
  list[last + 1], list[last + 2] = attempt, ms
end

-- Jobs of a call were often stored or started by one call, so that they share the text of that time.
local ages = {}
local function ms_since(began_at, now)
  if not began_at then return ABSENT end
  local ms = ages[began_at]
  if not ms then
    local began = tonumber(began_at)
    ms = began and math.max(0, now - began) or ABSENT
    ages[began_at] = ms
  end
  return ms
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

-- What the handler of a job has logged last in its attempt (MessagePack), of the job that was recorded last.
local function record_lines(transitions, kept)
  local list = lines[transitions]
  if not list then
    list = {}
    lines[transitions] = list
  end
  list[count(transitions)] = kept
end

-- One value for each job of an array, also for those that have no lines.
local function joined_lines(transitions)
  local some, all = lines[transitions], {}
  for place = 1, count(transitions) do all[place] = some[place] or '\192' end
  return table.concat(all)
end

-- Errors and log lines are large. They travel only where a group may store them.
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
  if (failed or lines[transitions]) and keeps_errors() then
    if failed then fields[#fields + 1], fields[#fields + 2] = 'errors', table.concat(failed) end
    if lines[transitions] then fields[#fields + 1], fields[#fields + 2] = 'lines', joined_lines(transitions) end
  end
  redis.call('XADD', events, '*', unpack(fields))
end

-- Take an entry out of a ready stream. Acknowledging without deleting would let the stream grow for ever.
local function drop_entry(stream, entry)
  redis.call('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry) -- @bug:entry-stays
end

-- Make a job ready. Clears the token: the worker that held the job can no longer commit. Where the queue has limits, the
-- job waits in its lane, before all others when a worker has given it back.
local function make_ready(id, priority, version, now, was_given_back)
  if gate then
    redis.call('HDEL', jobs .. id, 'entry')
    redis.call('HSET', jobs .. id, 'state', 'queued', 'ready_at', int(now), 'version', int(version), 'token', '')
    local lane = redis.call('HGET', jobs .. id, 'lane') or ''
    return gate.park(id, lane, stream_index(priority), was_given_back or false)
  end
  local entry = redis.call('XADD', ready[stream_index(priority)], '*', 'id', id)
  redis.call('HSET', jobs .. id, 'state', 'queued', 'entry', entry, 'ready_at', int(now),
    'version', int(version), 'token', '')
end

-- Take a queued job from where it waits: its ready stream, or its lane.
local function withdraw(id, entry, priority)
  local index = stream_index(priority)
  if not gate then return drop_entry(ready[index], entry) end
  gate.withdraw(id, entry, index, redis.call('HGET', jobs .. id, 'lane') or '')
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

-- What a durable handler keeps of its job, and signals that it has not taken yet: see _steps.lua. `s` in the field
-- `waited` says that there may be some; they go when the job has ended, and stay while it is dead.
local function steps_key(id) return string.sub(jobs, 1, -5) .. 'steps:' .. id end
local function signals_key(id) return string.sub(jobs, 1, -5) .. 'signals:' .. id end
local function has_steps(waited) return waited and string.find(waited, 's', 1, true) end
local function forget_steps(id)
  -- A time that is past removes a key at once.
  redis.call('PEXPIRE', steps_key(id), '-1')
  redis.call('PEXPIRE', signals_key(id), '-1')
end

-- string: the id of the job that holds a unique key. It is a pointer and never the truth: where it stands in the way, the
-- hash of that job is asked (ADR 97). A job that has a key has `u` in its field `waited`, and in its field `unique`
-- `<scope> <digest> <its deliveries when it took the key> <Unix ms until when it holds it, or 0> <key, percent-encoded>`.
local function unique_key(digest) return string.sub(jobs, 1, -5) .. 'unique:' .. digest end
local function has_unique(waited) return waited and string.find(waited, 'u', 1, true) end

-- What such a field says: scope, digest, deliveries, Unix ms or 0, key; nothing for a garbled one.
local function read_unique(text)
  local scope, digest, deliveries, held_until, key = string.match(text or '', '^(%a+) (%x+) (%d+) (%d+) (%S*)$')
  return scope, digest, tonumber(deliveries), tonumber(held_until), key
end

-- Free the key of a job that has settled, if that holds it. Returns the ms for which the job has to be readable still:
-- with the scope `window` a success goes on holding it.
local function free_unique(id, state, now)
  local scope, digest, _, held_until = read_unique(redis.call('HGET', jobs .. id, 'unique'))
  if not scope then return 0 end
  local is_kept = scope == 'window' and state == 'succeeded' -- @bug:failures-fill-the-window
  if is_kept then return math.max(0, held_until - now) end
  -- pcall: a key that something else has written must not end a transition in the middle.
  local holder = redis.pcall('GET', unique_key(digest)) -- @bug:another-s-key
  -- A time that is past removes a key at once.
  if holder == id then redis.call('PEXPIRE', unique_key(digest), '-1') end -- @bug:key-stays
  return 0
end

-- zset by Unix ms: the jobs that have settled and whose listeners have to be told, by when to tell them (again)
local function outbox_key() return string.sub(jobs, 1, -5) .. 'outbox' end

-- What a call that ends many jobs puts there, which it writes itself at its end; nil where each is written at once.
local outbox_entries

-- Have dispatchers tell the listeners of a job. Returns whether there is a place for it.
local has_told = false
local function put_into_outbox(id, now)
  if not has_told then
    -- pcall: a key that something else has written must not end a transition in the middle. The linker finds it as well.
    local head = redis.pcall('ZRANGE', outbox_key(), 0, 0, 'WITHSCORES')
    if head.err then return false end
    if head[1] == nil or now < tonumber(head[2]) then hint('outbox', string.match(jobs, '{(.-)}')) end
    -- What this call puts there is due at the same time.
    has_told = true
  end
  if outbox_entries then
    local last = #outbox_entries
    outbox_entries[last + 1], outbox_entries[last + 2] = int(now), id -- @bug:not-in-outbox
  else
    redis.call('ZADD', outbox_key(), int(now), id)
  end
  return true
end

-- Tell those who wait for a job that has settled. `waited` is its field of that name, one letter for each kind of them:
-- `1` a client waits for a hint; `k` blocked jobs wait; `f` a workflow or a batch waits, and `r` for its result too; `h` the handler
-- of another job has called it, and reads its result when that runs again (ADR 81). `s` and `u` are no listeners. A letter of a
-- newer release is a kind of listener. The field `flow` says of which it is: `<id>:<node>:<run>` of a
-- workflow, `<id>:<m or event>:1` of a batch.
-- Returns whether it has listeners that dispatchers must tell first: then it stays readable until they have.
local function tell(id, waited, now)
  if string.find(waited, '1', 1, true) then hint('settled', id) end
  if not string.find(waited, '[^1su]') then return false end
  return put_into_outbox(id, now)
end

-- How long a job that a handler has called can be read at least, unless that handler has its result before.
local HELD_MS = 7 * 24 * 3600 * 1000

-- Tell of a job that has ended. Returns for how many ms it can be read, and whether that time begins only once its
-- listeners have been told: until then it stands in the field `ttl`.
local function part_with(id, key, state, now, ttl_ms, waited)
  if has_unique(waited) then
    ttl_ms = int(math.max(tonumber(ttl_ms), free_unique(id, state, now))) -- @bug:result-before-its-window
  end
  if waited and string.find(waited, 'h', 1, true) then
    redis.call('HSET', key, 'own_ttl', ttl_ms)
    ttl_ms = int(math.max(tonumber(ttl_ms), HELD_MS)) -- @bug:called-jobs-vanish
  end
  if has_steps(waited) then forget_steps(id) end -- @bug:steps-stay
  return ttl_ms, waited and tell(id, waited, now) or false
end

-- Let a job be forgotten. The last write to its hash: with a time of 0 it is gone at once.
local function expire_in(key, ttl_ms)
  redis.call('PEXPIRE', key, ttl_ms) -- @bug:immortal
end

-- End a job for good. Its hash stays readable for ttl_ms.
local function finish(id, state, version, now, ttl_ms, waited, ...)
  local key = jobs .. id
  redis.call('HSET', key, 'state', state, 'finished_at', int(now), 'version', int(version), 'token', '', ...)
  local lives_ms, waits_to_be_told = part_with(id, key, state, now, ttl_ms, waited)
  if waits_to_be_told then return redis.call('HSET', key, 'ttl', lives_ms) end
  expire_in(key, lives_ms)
end

-- Put a job among the dead letters. Its hash stays until an operator decides.
local function bury(id, reason, fingerprint, version, now, waited, ...)
  local entry = redis.call('XADD', dlq, '*', 'id', id, 'reason', reason, 'fingerprint', fingerprint, 'at', int(now))
  redis.call('HSET', jobs .. id, 'state', 'dead', 'dead_entry', entry, 'finished_at', int(now), 'reason', reason,
    'version', int(version), 'token', '', ...)
  if has_unique(waited) then free_unique(id, 'dead', now) end -- @bug:dead-hold-their-keys
  if waited then tell(id, waited, now) end
end
