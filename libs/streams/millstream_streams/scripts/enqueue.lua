-- Submit many jobs to one queue.
--
-- Caller      ingest, and workers for child jobs
-- Idempotent  by job id, and by idempotency key for as long as that is kept
-- KEYS        1-4, 6, 8 as in _queue.lua, written
-- ARGV[2]     ms for which idempotency keys are kept
-- ARGV[3..]   per job eight values:
--             id; spec (MessagePack); priority index 1..3; run at (`+ms`, Unix ms or ''); expires at (same);
--             idempotency key (a Redis key, or ''); fingerprint of the request; '1' when somebody waits for the end
-- Returns     per job {code, id, Unix ms it was made ready or is due}
--             1 stored; 0 the same id was stored before; 2 replayed, with the id stored earlier;
--             -1 the idempotency key was used for another request, with the id of that one

local now = now_ms()
local idempotency_ttl = ARGV[2]
local NAMES = {'high', 'normal', 'low'}
local replies, queued, scheduled = {}, {}, {}

local function remembered(key, fingerprint)
  if key == '' then return nil end
  local record = redis.call('GET', key)
  if not record then return nil end
  local seen, id = string.match(record, '^(%x+) (.+)$')
  if seen == fingerprint then return 2, id end
  return -1, id
end

local function store(id, spec, index, run_at, expires_at, waited)
  local key = jobs .. id
  local fields = {'spec', spec}
  if index ~= 2 then
    fields[3], fields[4] = 'priority', NAMES[index]
  end
  if expires_at then
    fields[#fields + 1], fields[#fields + 2] = 'expires_at', int(expires_at)
    redis.call('ZADD', expiring, int(expires_at), id)
  end
  if waited == '1' then
    fields[#fields + 1], fields[#fields + 2] = 'waited', '1'
  end
  if run_at and run_at > now then
    redis.call('HSET', key, unpack(fields))
    make_scheduled(id, run_at, 1)
    scheduled[#scheduled + 1] = transition(id, 1, 'scheduled', 0)
    return run_at
  end
  -- One HSET for the common case, not make_ready's second one.
  local entry = redis.call('XADD', ready[index], '*', 'id', id)
  redis.call('HSET', key, 'state', 'queued', 'entry', entry, 'ready_at', int(now), unpack(fields))
  queued[#queued + 1] = transition(id, 1, 'queued', 0)
  return now
end

for at = 3, #ARGV, 8 do
  local id, idempotency_key, fingerprint = ARGV[at], ARGV[at + 5], ARGV[at + 6]
  local code, earlier = remembered(idempotency_key, fingerprint)
  if code == 2 and earlier == id then code = 0 end
  if code then
    replies[#replies + 1] = {code, earlier, '0'}
  elseif redis.call('EXISTS', jobs .. id) == 1 then
    replies[#replies + 1] = {0, id, '0'}
  else
    local when = store(id, ARGV[at + 1], tonumber(ARGV[at + 2]), moment(ARGV[at + 3], now),
      moment(ARGV[at + 4], now), ARGV[at + 7])
    if idempotency_key ~= '' then
      redis.call('SET', idempotency_key, fingerprint .. ' ' .. id, 'PX', idempotency_ttl)
    end
    replies[#replies + 1] = {1, id, int(when)}
  end
end

emit('submitted', now, '', queued)
emit('submitted', now, '', scheduled)
return replies
