-- Make jobs ready before their time: those that were to run later, retries among them.
--
-- Caller      ingest, and dispatchers for operations
-- Idempotent  yes: a job that is ready, or runs, answers 0
-- Needs       numbers queue past moves gate release
-- KEYS        1-4, 6 as in _queue.lua, written; 7 read
-- ARGV[2]     ms for which an expired job can be read
-- ARGV[3..]   job ids
-- Returns     per job: 1 ready, in a queue with limits before all others of its priority and key, or expired; 0 it was
--             ready before, or runs; -1 it waits for other jobs, is dead or has ended; -2 there is no such job

local now = now_ms()
local ttl_ms = ARGV[2]
local replies = {}

local function run(id)
  local job = read_released(id)
  local state = job[1]
  if not state then return -2 end
  if state == 'queued' or state == 'running' then return 0 end
  if state ~= 'scheduled' then return -1 end
  -- The first write: people call this when Redis is full as well.
  redis.call('ZREM', due, id)
  redis.call('HDEL', jobs .. id, 'run_at')
  release_job(id, job, now, ttl_ms, true)
  return 1
end

for at = 3, #ARGV do replies[#replies + 1] = run(ARGV[at]) end
tell_released(now, 'asked')
return replies
