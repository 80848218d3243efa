-- Take up to n ready jobs for one worker and mark them as running.
--
-- Caller      workers
-- Idempotent  by nonce: a call whose reply was lost is sent again with ARGV[4] = '1', and returns what the first
--             call took, and whatever a lost blocking read left in this consumer's hands
-- KEYS        1-3, 6, 8 as in _queue.lua, written; 7 read
-- ARGV[2]     consumer
-- ARGV[3]     nonce of this call
-- ARGV[4]     '1' to look through the consumer's own pending list first
-- ARGV[5]     n, at most 100
-- ARGV[6..8]  how many of the n to take from high, normal, low before filling up in that order
-- ARGV[9]     ms for which an expired job can be read
-- ARGV[10..]  per entry that a blocking read returned three values: priority index, entry id, job id
-- Returns     {ms until it makes sense to ask again, or 0; now; jobs; pasts}, both flat: a table for each job would
--             cost a twentieth of the call. Per job six values: priority index, entry id, job id, spec, ready at,
--             deliveries; its token is `<deliveries>:<nonce>`. Per job with a past five: job id, attempts, crashes,
--             error, run at, '' for what it has not

local consumer, nonce, limit, ttl_ms = ARGV[2], ARGV[3], tonumber(ARGV[5]), ARGV[9]
local now = now_ms()
local taken, pasts, started, expired = {}, {}, {}, {}
local given, count, tokens = {}, 0, {}

local function token_of(deliveries)
  tokens[deliveries] = tokens[deliveries] or int(deliveries) .. ':' .. nonce
  return tokens[deliveries]
end

local function give(index, entry, id, job, deliveries, past)
  given[id] = true
  count = count + 1
  local last = #taken
  taken[last + 1], taken[last + 2], taken[last + 3] = index, entry, id
  taken[last + 4], taken[last + 5], taken[last + 6] = job[3] or '', job[4] or '0', deliveries
  if past then
    last = #pasts
    pasts[last + 1], pasts[last + 2], pasts[last + 3] = id, past[2] or '', past[3] or ''
    pasts[last + 4], pasts[last + 5] = past[4] or '', past[5] or ''
  end
end

local function expire(index, entry, id, version, deliveries)
  drop_entry(ready[index], entry)
  finish(id, 'expired', version, now, ttl_ms, redis.call('HGET', jobs .. id, 'waited'))
  note(expired, id, version, deliveries)
end

local function adopt(index, entry, id)
  -- A read entry is also in the pending list: it must not be handed to two handlers.
  if given[id] then return end
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'entry', 'spec', 'ready_at', 'version')
  -- A job without a version has been stored, with no wish for an expiry, and nothing else: most jobs. Each field that is
  -- asked for costs time.
  local past = job[5] and redis.call('HMGET', key, 'deliveries', 'attempts', 'crashes', 'error', 'run_at', 'token',
    'expires_at')
  local deliveries = past and tonumber(past[1]) or 0
  if past and job[1] == 'running' and job[2] == entry and string.match(past[6] or '', ':(.*)$') == nonce then
    return give(index, entry, id, job, deliveries, past)
  end
  if job[1] ~= 'queued' or job[2] ~= entry then
    -- Forgotten, cancelled, or made ready again under another entry: this entry means nothing any more.
    -- A job that is running under this entry belongs to an earlier call of the same consumer.
    if not (job[1] == 'running' and job[2] == entry) then drop_entry(ready[index], entry) end
    return
  end
  local version = next_version(job[5])
  local expires_at = past and tonumber(past[7])
  if expires_at and expires_at <= now then return expire(index, entry, id, version, deliveries) end
  deliveries = deliveries + 1
  -- The progress was an earlier attempt's. This write comes first in a call, also where there is none, because it
  -- frees memory: so a full Redis can be worked off.
  if past or #started == 0 then redis.call('HDEL', key, 'progress') end
  -- From here on a claim or a release looks at the time; only jobs that nobody takes need the list.
  if expires_at then redis.call('ZREM', expiring, id) end
  redis.call('HSET', key, 'state', 'running', 'token', token_of(deliveries), 'deliveries', int(deliveries),
    'worker', consumer, 'started_at', int(now), 'version', int(version))
  note(started, id, version, deliveries)
  give(index, entry, id, job, deliveries, past)
end

local function read(index, count)
  if count < 1 then return 0 end
  local reply = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', ready[index], '>')
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'NOGROUP', 1, true) then
      -- From 0, not from $, or the jobs that already wait would never be delivered.
      redis.call('XGROUP', 'CREATE', ready[index], GROUP, '0', 'MKSTREAM')
    end
    -- Any other error is raised by this call in the form that clients know.
    reply = redis.call('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', ready[index], '>')
  end
  if not reply then return 0 end
  local entries = reply[1][2]
  for _, entry in ipairs(entries) do adopt(index, entry[1], entry[2][2]) end
  return #entries
end

local function is_mine(index, entry)
  -- pcall: the stream and its group may be gone since, and then nothing is anybody's.
  local pending = redis.pcall('XPENDING', ready[index], GROUP, entry, entry, 1)
  return pending[1] ~= nil and pending[1][2] == consumer
end

-- What the caller already holds is adopted even while the queue is paused: it would only come back later.
for at = 10, #ARGV, 3 do
  local index = tonumber(ARGV[at])
  if is_mine(index, ARGV[at + 1]) then adopt(index, ARGV[at + 1], ARGV[at + 2]) end
end
if ARGV[4] == '1' then
  for index = 1, 3 do
    -- pcall: before the first claim there is no group yet, and so nothing to find.
    local pending = redis.pcall('XPENDING', ready[index], GROUP, '-', '+', 1000, consumer)
    for _, item in ipairs(pending.err and {} or pending) do
      local found = redis.call('XRANGE', ready[index], item[1], item[1])
      if found[1] then adopt(index, item[1], found[1][2][2]) else redis.call('XACK', ready[index], GROUP, item[1]) end
    end
  end
end

local ask_again_ms = 0
if redis.call('HGET', settings, 'paused') == '1' then
  ask_again_ms = 1000
else
  local dry = {}
  for index = 1, 3 do
    local wanted = math.min(tonumber(ARGV[5 + index]), limit - count)
    dry[index] = read(index, wanted) < wanted
  end
  for index = 1, 3 do
    if not dry[index] then read(index, limit - count) end
  end
end

emit('started', 'running', now, consumer, started)
emit('expired', 'expired', now, consumer, expired)
return {ask_again_ms, int(now), taken, pasts}
