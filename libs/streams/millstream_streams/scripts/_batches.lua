-- Part `batches`: batches of one shard, and what follows when a member of one has moved. Needs `numbers`, `shards` and
-- `flows`.
--
-- Entries of the outbox: `s <id> <event>` start the job of a callback, `x <id>` end the jobs of members, `e <id>` record
-- that it has ended.
--
-- Keys of a batch, behind the prefix: `<id>` a hash, with `counts`, how many members are pending, dead, cancelled, expired
-- and succeeded; `closed`, where it takes no more; `cancel`; `closes_at`, when it closes itself; `options`, its retention in
-- ms and the traceparent; by event `job:<event>`, `spec:<event>`, and once it has happened `mark:<event>`, a letter and the
-- version of the job, `at:<event>`, the counts at that time, and `why:<event>`, why no job can be made. `<id>:members` a
-- sorted set of job ids by UNIT times what has become of them, plus the version of the job that was told, or of a promised
-- one the Unix ms at which its promise ends.
--
-- A member is its own mark, and counts are counted from marks: to tell twice changes nothing, and none is forgotten.

local UNIT = 4398046511104 -- 2^42
-- What has become of a member: it will be stored, or never; its job waits or runs; that was asked to stop; it has settled.
local PROMISED, OPEN, ASKED, DEAD, CANCELLED, EXPIRED, SUCCEEDED = 0, 1, 2, 3, 4, 5, 6
local RANKS = {D = DEAD, X = CANCELLED, E = EXPIRED, S = SUCCEEDED}
local EVENTS = {'on_success', 'on_complete', 'on_death'}
local MEMBER = 'm' -- in place of an event, of the job of a member

local open_batches = {}

-- The batch as it is in this call; nil when it is not there, or another program wrote it.
local function open_batch(id)
  if open_batches[id] then return open_batches[id] end
  local held = redis.pcall('HMGET', flows .. id, 'state', 'counts', 'turn', 'closed', 'cancel', 'options')
  if held.err or not held[1] or not held[2] or not held[6] then return nil end
  local batch = {id = id, key = flows .. id, members = flows .. id .. ':members', state = held[1],
    turn = tonumber(held[3]) or 0, closed = held[4], cancel = held[5], retention = string.match(held[6], '^%d+')}
  open_batches[id] = batch
  return batch
end

local function rank_of(score)
  local rank = math.floor(score / UNIT)
  return rank, score - rank * UNIT
end

local function put_member(batch, job, rank, value)
  redis.call('ZADD', batch.members, int(rank * UNIT + math.min(value, UNIT - 1)), job)
  batch.is_changed = true
end

local function remove_member(batch, job)
  redis.call('ZREM', batch.members, job)
  batch.is_changed = true
end

-- The first members of these ranks.
local function members_of(batch, from, upto, limit)
  return redis.call('ZRANGEBYSCORE', batch.members, int(from * UNIT), '(' .. int((upto + 1) * UNIT), 'LIMIT', 0, limit)
end

local function count_members(batch)
  local function count_of(from, upto)
    return redis.call('ZCOUNT', batch.members, int(from * UNIT), '(' .. int((upto + 1) * UNIT))
  end
  local counts = {pending = count_of(PROMISED, ASKED), dead = count_of(DEAD, DEAD),
    cancelled = count_of(CANCELLED, CANCELLED), expired = count_of(EXPIRED, EXPIRED)}
  counts.total = redis.call('ZCARD', batch.members)
  counts.succeeded = counts.total - counts.pending - counts.dead - counts.cancelled - counts.expired
  return counts
end

local function text_of(counts)
  return string.format('%d %d %d %d %d', counts.pending, counts.dead, counts.cancelled, counts.expired, counts.succeeded)
end

local function mark_of(batch, event)
  local letter, version = string.match(redis.call('HGET', batch.key, 'mark:' .. event) or '', '^(%a) (%d+)$')
  return letter, tonumber(version) or 0
end

local function put_mark(batch, event, letter, version)
  redis.call('HSET', batch.key, 'mark:' .. event, letter .. ' ' .. int(version))
end

-- An event has happened: have the job of its callback submitted, once.
local function fire(batch, event, counts, now)
  local held = redis.call('HMGET', batch.key, 'job:' .. event, 'mark:' .. event)
  if not held[1] or held[2] then return end -- @bug:fires-twice
  put_mark(batch, event, 'g', 0)
  redis.call('HSET', batch.key, 'at:' .. event, text_of(counts))
  put_out(now, 's ' .. batch.id .. ' ' .. event) -- @bug:fired-and-forgotten
end

local function batch_state(batch, counts)
  if counts.pending > 0 then return batch.cancel and 'cancelling' or batch.closed and 'running' or 'open' end
  if batch.cancel then return 'cancelled' end
  if not batch.closed then return 'open' end
  if counts.dead > 0 then return 'stalled' end
  return counts.succeeded == counts.total and 'succeeded' or 'failed'
end

-- Whether the job of a callback is still to be stored, or has not ended.
local function awaits_callbacks(batch, letters)
  for _, event in ipairs(EVENTS) do
    local letter = mark_of(batch, event)
    if letter and string.find(letters, letter, 1, true) then return true end
  end
  return false
end

local function close_batch(batch, now)
  local counts = count_members(batch)
  local state = batch_state(batch, counts)
  if counts.dead > 0 then fire(batch, 'on_death', counts, now) end
  if batch.closed and counts.pending == 0 then -- @bug:completes-while-open
    fire(batch, 'on_complete', counts, now)
    local is_success = not batch.cancel and counts.succeeded == counts.total -- @bug:success-beside-failures
    if is_success then fire(batch, 'on_success', counts, now) end
  end
  if ENDED[state] and not ENDED[batch.state] then put_out(now, 'e ' .. batch.id) end
  enter_state(batch, state, batch.retention, now, 'counts', text_of(counts), 'turn', turn_after(batch.turn, now))
  -- Its callbacks are looked after, although it has ended.
  if ENDED[state] and awaits_callbacks(batch, 'gr') then
    redis.call('ZADD', flow_checks, int(now + CHECK_AFTER_MS), batch.id)
  end
end

-- Draw what follows from what has changed in the batches of this call.
local function close_batches(now)
  for _, batch in pairs(open_batches) do
    -- pcall: what another program has written stops one batch.
    if batch.is_changed then pcall(close_batch, batch, now) end
  end
  write_outbox(now)
  write_totals()
end
