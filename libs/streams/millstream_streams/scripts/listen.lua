-- Note jobs that wait for jobs of this queue, and say in which state these are, in one step: no end is missed between.
--
-- Caller      ingest, workers and dispatchers, for blocked jobs that are stored already
-- Idempotent  yes
-- Needs       numbers queue moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2..]   per pair two values: job id of the parent; job id of the child
-- Returns     per pair the state of the parent, `unknown` where there is none. A child is noted unless its parent has
--             ended; it is noted with a dead one, which may be redriven

local replies = {}

local function note(parent, child, waited)
  -- pcall: a key that something else has written must not end a transition in the middle.
  local noted = redis.pcall('ZADD', children_key(parent), 'NX', '0', child)
  if type(noted) == 'table' then return end
  if not string.find(waited, 'k', 1, true) then redis.call('HSET', jobs .. parent, 'waited', waited .. 'k') end
end

for at = 2, #ARGV, 2 do
  local parent, child = ARGV[at], ARGV[at + 1]
  local job = redis.pcall('HMGET', jobs .. parent, 'state', 'waited')
  local state = not job.err and job[1] or 'unknown'
  if state ~= 'unknown' and (state == 'dead' or not SETTLED[state]) then note(parent, child, job[2] or '') end
  replies[#replies + 1] = state
end
return replies
