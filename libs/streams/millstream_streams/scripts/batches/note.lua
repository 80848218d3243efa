-- Tell batches in which state jobs are, of members and of callbacks. What was told before changes nothing.
--
-- Caller      dispatchers
-- Idempotent  by the version of the job
-- Needs       numbers shards flows batches
-- KEYS        1-2, 4 as in _flows.lua, written
-- ARGV[2..]   per job five values: id of the batch; `m` of a member, or the event of a callback; job id; state of the job,
--             or `unknown`; version
-- Returns     1

local now = now_ms()

-- The first write, for a full Redis.
redis.call('ZREM', flow_outbox, '')

local function note_member(batch, job, state, version)
  local score = redis.call('ZSCORE', batch.members, job)
  -- A promise that a failover has lost: the job is there, and so it is a member.
  if not score and ENDED[batch.state] then return end
  local rank, value = rank_of(tonumber(score) or 0)
  local told = math.min(tonumber(version), UNIT - 1)
  local is_news = rank == PROMISED or told > value -- @bug:any-news
  if is_news then put_member(batch, job, RANKS[LETTERS[state]] or OPEN, told) end
end

local function note_callback(batch, event, state, version)
  local letter, held = mark_of(batch, event)
  if not letter or tonumber(version) <= held then return end
  if letter == 'g' then redis.call('ZREM', flow_outbox, 's ' .. batch.id .. ' ' .. event) end
  put_mark(batch, event, LETTERS[state] or 'r', version)
end

local function note(id, place, job, state, version)
  local batch = open_batch(id)
  if not batch then return end
  if place == MEMBER then return note_member(batch, job, state, version) end
  note_callback(batch, place, state, version)
end

-- pcall: what another program has written stops one batch.
for at = 2, #ARGV, 5 do pcall(note, unpack(ARGV, at, at + 4)) end
close_batches(now)
return 1
