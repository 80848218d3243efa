-- Return deliveries that were not run, or were interrupted by a shutdown. They cost the job nothing.
--
-- Caller      workers that drain
-- Idempotent  by token: the same hand-back sent again answers 2
-- KEYS        1-3, 6 as in _queue.lua, written
-- ARGV[2]     worker
-- ARGV[3]     ms for which a cancelled job can be read
-- ARGV[4..]   per job four values: job id, token, priority index 1..3, entry id; the token proves the latter two
-- Returns     per job: 1 ready again; 2 this very hand-back was made before; -1 stale; -2 there is no such job

local now = now_ms()
local worker, ttl_ms = ARGV[2], ARGV[3]
local replies, returned, cancelled = {}, {}, {}

local function hand_back(id, token, index, entry)
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'token', 'done_token', 'priority', 'version', 'handbacks', 'deliveries',
    'cancel', 'waited')
  if not job[1] then return -2 end
  if was_committed(job[1], job[2], job[3], token) then return 2 end
  if job[1] ~= 'running' or job[2] ~= token then return -1 end
  local version, deliveries = next_version(job[5], job[1]), tonumber(job[7]) or 1
  drop_entry(ready[tonumber(index)], entry)
  if job[8] then
    finish(id, 'cancelled', version, now, ttl_ms, job[9], 'done_token', token, 'reason', 'cancelled')
    note(cancelled, id, version, deliveries)
    return 1
  end
  redis.call('HSET', key, 'done_token', token, 'handbacks', int((tonumber(job[6]) or 0) + 1))
  make_ready(id, job[4], version, now)
  note(returned, id, version, deliveries)
  return 1
end

for at = 4, #ARGV, 4 do
  replies[#replies + 1] = hand_back(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
emit('handed_back', 'queued', now, worker, returned)
emit('cancelled', 'cancelled', now, worker, cancelled, 'cancelled')
return replies
