-- What every transition shares: the keys of one queue and the moves that more than one script makes.
-- It stands before the text of each script. All of it runs inside of the script's own atomic step.
--
-- KEYS[1..3]  stream  ready:high, ready:normal, ready:low (group `workers`)
-- KEYS[4]     zset    due: job id by Unix ms
-- KEYS[5]     stream  dlq: dead letters
-- KEYS[6]     stream  events: one entry per call and kind of transition
-- KEYS[7]     hash    settings of the queue
-- KEYS[8]     zset    expiring: job id by the Unix ms after which it must not start
-- KEYS[9]     none    never: it does not exist, so that no script runs while its slot moves to another node
-- ARGV[1]     string  prefix of the keys of its job hashes, `<namespace>:{<tag>}:job:`

local ready = {KEYS[1], KEYS[2], KEYS[3]}
local due, dlq, events, settings, expiring = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local jobs = ARGV[1]
local GROUP = 'workers'
local INDEX = {high = 1, normal = 2, low = 3}

-- Lua's own number formatting loses digits above 2^53 and writes exponents: every integer goes through here.
-- A call writes the same few numbers for each of its jobs, and to format one takes longer than most commands.
local texts = {}
local function int(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function next_version(version)
  return (tonumber(version) or 1) + 1
end

-- The priority field is absent for `normal`, the usual case, to keep a waiting job small.
local function stream_index(priority)
  return INDEX[priority or 'normal'] or 2
end

-- Unix ms from `+<ms from now>`, `<Unix ms>` or an empty string, which gives nil.
local function moment(text, now)
  if text == '' then return nil end
  if string.sub(text, 1, 1) == '+' then return now + tonumber(string.sub(text, 2)) end
  return tonumber(text)
end

-- Hints travel by publish/subscribe and may be lost; whoever waits for one also looks now and then.
-- pcall: a user without rights on channels must not end a transition in the middle.
local function hint(topic, message)
  local namespace = string.match(jobs, '^(.-):{')
  redis.pcall('PUBLISH', namespace .. ':hints:' .. topic, message)
end

-- Tell of the jobs that this call moved in the same way; `detail` is the reason of a death or a cancellation, if any.
-- They stand in one array of plain values: a table for each would cost as much again.
local function emit(kind, state, now, worker, moves, detail)
  if #moves > 0 then
    redis.call('XADD', events, '*', 'kind', kind, 'state', state, 'at', int(now), 'worker', worker,
      'detail', detail or '', 'jobs', cmsgpack.pack(moves))
  end
end

local function note(moves, id, version, deliveries)
  local last = #moves
  moves[last + 1], moves[last + 2], moves[last + 3] = id, version, tonumber(deliveries) or 0
end

-- How many jobs have been noted.
local function noted(moves) return #moves / 3 end

-- Take an entry out of a ready stream. Acknowledging without deleting would let the stream grow for ever.
local function drop_entry(stream, entry)
  redis.call('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry)
end

-- Whether this token's outcome is the last one that was committed. A job that succeeded keeps the token itself, for
-- no other can follow. Other states have it in `done_token`, and so has what an earlier release committed.
local function was_committed(state, held, done_token, token)
  if state == 'succeeded' and held ~= '' then return held == token end
  return done_token == token
end

-- Make a job ready. Clears the token, so that whoever held the job before can no longer commit.
local function make_ready(id, priority, version, now)
  local entry = redis.call('XADD', ready[stream_index(priority)], '*', 'id', id)
  redis.call('HSET', jobs .. id, 'state', 'queued', 'entry', entry, 'ready_at', int(now),
    'version', int(version), 'token', '')
end

-- Make a job wait for a time. Tells the dispatchers when it is the next one due.
local function make_scheduled(id, run_at, version)
  local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  redis.call('ZADD', due, int(run_at), id)
  redis.call('HSET', jobs .. id, 'state', 'scheduled', 'run_at', int(run_at), 'version', int(version), 'token', '')
  if head[1] == nil or run_at < tonumber(head[2]) then
    hint('due', string.match(jobs, '{(.-)}'))
  end
end

-- End a job for good. Its hash stays readable for ttl_ms.
local function finish(id, state, version, now, ttl_ms, waited, ...)
  local key = jobs .. id
  redis.call('HSET', key, 'state', state, 'finished_at', int(now), 'version', int(version), 'token', '', ...)
  redis.call('PEXPIRE', key, ttl_ms)
  if waited then hint('settled', id) end
end

-- Put a job among the dead letters. Its hash stays until somebody decides.
local function bury(id, reason, fingerprint, version, now, waited, ...)
  local entry = redis.call('XADD', dlq, '*', 'id', id, 'reason', reason, 'fingerprint', fingerprint, 'at', int(now))
  redis.call('HSET', jobs .. id, 'state', 'dead', 'dead_entry', entry, 'finished_at', int(now), 'reason', reason,
    'version', int(version), 'token', '', ...)
  if waited then hint('settled', id) end
end
