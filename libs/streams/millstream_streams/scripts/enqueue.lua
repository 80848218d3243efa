-- Submit many jobs to one queue.
--
-- Caller      ingest, and workers for child jobs
-- Idempotent  by job id, and by idempotency key for as long as that is kept
-- KEYS        1-4, 6, 8 as in _queue.lua, written
-- ARGV[2]     ms for which idempotency keys are kept
-- ARGV[3..]   per job three values:
--             id; spec (MessagePack); '' for a job of normal priority that is ready now and has nothing else to it,
--             else six texts with a space between them: priority index 1..3; run at (`+ms`, Unix ms or ''); expires at
--             (same); '1' when somebody waits for the end; fingerprint of the request; idempotency key (a Redis key)
-- Returns     Unix ms of this call, then per job a code, or {code, id, Unix ms} where the id is not its own or it was
--             not made ready now but is due then; 1 stored; 0 the same id was stored before; 2 replayed, with the id
--             stored earlier; -1 the idempotency key was used for another request, with the id of that one

local now = now_ms()
local idempotency_ttl = ARGV[2]
local NAMES = {'high', 'normal', 'low'}
local replies, queued, scheduled = {int(now)}, {}, {}
local keys, stored = {}, {}

local function remembered(key, fingerprint)
  if key == '' then return nil end
  local record = redis.call('GET', key)
  if not record then return nil end
  local seen, id = string.match(record, '^(%x+) (.+)$')
  if seen == fingerprint then return 2, id end
  return -1, id
end

for at = 3, #ARGV, 3 do keys[#keys + 1] = jobs .. ARGV[at] end
-- One question for all of them: hardly ever is one there.
local is_resent = #keys > 0 and redis.call('EXISTS', unpack(keys)) > 0

local function is_stored(id, key)
  return stored[id] or (is_resent and redis.call('EXISTS', key) == 1)
end

local function store_ready(id, key, index, spec, ...)
  -- One HSET for the common case, not make_ready's second one.
  local entry = redis.call('XADD', ready[index], '*', 'id', id)
  redis.call('HSET', key, 'state', 'queued', 'entry', entry, 'ready_at', int(now), 'spec', spec, ...)
  queued[#queued + 1] = transition(id, 1, 'queued', 0)
  stored[id] = true
  return 1
end

local function store(id, key, spec, index, run_at, expires_at, waited)
  local fields = {}
  if index ~= 2 then
    fields[1], fields[2] = 'priority', NAMES[index]
  end
  if expires_at then
    fields[#fields + 1], fields[#fields + 2] = 'expires_at', int(expires_at)
    redis.call('ZADD', expiring, int(expires_at), id)
  end
  if waited == '1' then
    fields[#fields + 1], fields[#fields + 2] = 'waited', '1'
  end
  if not (run_at and run_at > now) then return store_ready(id, key, index, spec, unpack(fields)) end
  redis.call('HSET', key, 'spec', spec, unpack(fields))
  make_scheduled(id, run_at, 1)
  scheduled[#scheduled + 1] = transition(id, 1, 'scheduled', 0)
  stored[id] = true
  return {1, id, int(run_at)}
end

local function store_with(id, key, spec, options)
  local index, run_at, expires_at, waited, fingerprint, idempotency_key =
    string.match(options, '^([123]) (%S*) (%S*) (%S*) (%S*) (.*)$')
  local code, earlier = remembered(idempotency_key, fingerprint)
  if code == 2 and earlier == id then return 0 end
  if code then return {code, earlier, '0'} end
  if is_stored(id, key) then return 0 end
  local reply = store(id, key, spec, tonumber(index), moment(run_at, now), moment(expires_at, now), waited)
  if idempotency_key ~= '' then
    redis.call('SET', idempotency_key, fingerprint .. ' ' .. id, 'PX', idempotency_ttl)
  end
  return reply
end

for at = 3, #ARGV, 3 do
  local id, spec, options = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local place = #replies
  local key = keys[place]
  local reply = 0
  if options ~= '' then
    reply = store_with(id, key, spec, options)
  elseif not is_stored(id, key) then
    reply = store_ready(id, key, 2, spec)
  end
  replies[place + 1] = reply
end

emit('submitted', now, '', queued)
emit('submitted', now, '', scheduled)
return replies
