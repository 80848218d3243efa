-- Give dead jobs a new life: ready again, with attempts and crashes counted from zero and no expiry.
--
-- Caller      ingest
-- Idempotent  yes: a job that is no longer dead answers -1
-- KEYS        1-3, 5-6 as in _queue.lua, written
-- ARGV[2..]   job ids
-- Returns     per job: 1 ready again; -1 it is not dead; -2 there is no such job

local now = now_ms()
local replies, redriven = {}, {}

local function redrive(id)
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'dead_entry', 'priority', 'version', 'deliveries')
  if not job[1] then return -2 end
  if job[1] ~= 'dead' then return -1 end
  local version = next_version(job[4])
  make_ready(id, job[3], version, now)
  redis.call('HDEL', key, 'attempts', 'crashes', 'dead_entry', 'finished_at', 'reason', 'cancel',
    'progress', 'expires_at', 'run_at')
  redis.call('XDEL', dlq, job[2])
  note(redriven, id, version, job[5])
  return 1
end

for at = 2, #ARGV do replies[#replies + 1] = redrive(ARGV[at]) end
emit('redriven', 'queued', now, '', redriven)
return replies
