-- Part `unique`: who holds a unique key. Needs `numbers`, `queue`, `past` and `moves`.
--
-- No key can stay stuck. What ends a job frees its key, and where that was missed, or the job is gone, the next one to ask
-- finds no holder and takes the key (ADR 97).

local FREES = {dead = true, cancelled = true, expired = true}

-- Whether a job holds a key, by its own hash. One of scope `queued` holds it until it is delivered.
local function holds_key(id, digest, now)
  -- pcall: a key that something else has written is no job.
  local job = redis.pcall('HMGET', jobs .. id, 'state', 'unique', 'deliveries', 'started_at')
  local state = not job.err and job[1]
  if not state or FREES[state] then return false end -- @bug:stuck-behind-the-dead
  local scope, held, taken_at, held_until = read_unique(job[2])
  if held ~= digest then return false end -- @bug:garbage-holds
  if scope == 'window' then return now < held_until end -- @bug:window-for-ever
  if state == 'succeeded' then return false end
  return scope ~= 'queued' or deliveries_of(job[3], job[4]) == taken_at -- @bug:started-jobs-hold
end

-- Have a job hold a key, until this Unix ms or, with 0, until it is freed. Returns the id of the job that holds it, where
-- another one does; then nothing is written.
local function take_unique(id, digest, held_until, now)
  local key = unique_key(digest)
  local life = held_until > 0 and {'PX', int(math.max(1, held_until - now))} or {}
  -- NX and GET together need Redis 7.0. Also of a full Redis the first write: it takes no new job.
  local is_free = redis.call('SET', key, id, 'NX', unpack(life))
  if is_free then return nil end -- @bug:two-holders
  -- pcall: as above.
  local holder = redis.pcall('GET', key)
  if type(holder) == 'string' and holder ~= id and holds_key(holder, digest, now) then return holder end
  redis.call('SET', key, id, unpack(life))
  return nil
end

-- The field `unique` of a job that has taken its key at its so many deliveries.
local function unique_text(scope, digest, deliveries, held_until, key)
  return scope .. ' ' .. digest .. ' ' .. int(deliveries) .. ' ' .. int(held_until) .. ' ' .. key
end
