-- Cancel jobs: at once where they wait, by asking their worker where they run.
--
-- Caller      ingest
-- Idempotent  yes
-- KEYS        1-4, 6, 8 as in _queue.lua, written
-- ARGV[2]     ms for which a cancelled job can be read
-- ARGV[3..]   job ids
-- Returns     per job: 1 cancelled; 2 its worker was asked; 0 it was cancelled, or asked for, before;
--             -1 it has ended; -2 there is no such job

local now = now_ms()
local ttl_ms = ARGV[2]
local replies, cancelled, requested = {}, {}, {}

local function cancel(id)
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'entry', 'priority', 'version', 'deliveries', 'cancel', 'waited',
    'worker')
  local state = job[1]
  if not state then return -2 end
  if state == 'cancelled' then return 0 end
  local version = next_version(job[4])
  if state == 'running' then
    if job[6] then return 0 end
    -- The first write needs no memory: to cancel is what one does when Redis is full.
    redis.call('HDEL', key, 'progress')
    redis.call('HSET', key, 'cancel', int(now), 'version', int(version))
    note(requested, id, version, job[5])
    hint('cancel:' .. (job[8] or ''), id)
    return 2
  end
  if state == 'queued' then
    drop_entry(ready[stream_index(job[3])], job[2])
  elseif state == 'scheduled' then
    redis.call('ZREM', due, id)
  else
    return -1
  end
  redis.call('ZREM', expiring, id)
  finish(id, 'cancelled', version, now, ttl_ms, job[7], 'reason', 'cancelled')
  note(cancelled, id, version, job[5])
  return 1
end

for at = 3, #ARGV do replies[#replies + 1] = cancel(ARGV[at]) end
emit('cancelled', 'cancelled', now, '', cancelled, 'cancelled')
emit('cancel_requested', 'running', now, '', requested)
return replies
