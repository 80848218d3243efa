-- Remove jobs with all that is stored of them, wherever they are, except those that run. One that waited never runs, and
-- its event says that it was cancelled; one that had ended leaves without an event.
--
-- Caller      dispatchers
-- Idempotent  yes: a job that is gone answers -2
-- Needs       numbers queue past moves gate dependents callbacks
-- KEYS        1-6, 8 as in _queue.lua, written; 7 read
-- ARGV[2..]   job ids
-- Returns     per job: 1 removed; -1 it runs, or is in a state of a newer release; -2 there is no such job

local now = now_ms()
local replies, cancelled = {}, {}

local function erase(id)
  local key = jobs .. id
  local state, entry, priority, old_version, number, letter, waited, started_at, flow = unpack(redis.call('HMGET', key,
    'state', 'entry', 'priority', 'version', 'deliveries', 'dead_entry', 'waited', 'started_at', 'flow'))
  if not state then return -2 end
  if state == 'running' or is_foreign(state) then return -1 end
  if state == 'queued' then
    withdraw(id, entry, priority)
  elseif state == 'scheduled' then
    redis.call('ZREM', due, id)
  elseif state == 'blocked' then
    unblock(id)
  elseif state == 'dead' then
    redis.call('XDEL', dlq, letter)
  end
  redis.call('ZREM', expiring, id)
  redis.call('HDEL', callbacks_key(), id)
  if has_steps(waited) then forget_steps(id) end
  if has_unique(waited) then free_unique(id, 'cancelled', now) end
  -- A time that is past removes a key at once.
  redis.call('PEXPIRE', key, '-1')
  if state == 'queued' or state == 'scheduled' or state == 'blocked' or state == 'dead' then
    record(cancelled, id, next_version(old_version, state), deliveries_of(number, started_at))
  end
  -- Its listeners learn that it is gone.
  if flow then redis.call('HSET', erased_key(), id, flow) end
  if waited then tell(id, waited, now) end
  return 1
end

for at = 2, #ARGV do replies[#replies + 1] = erase(ARGV[at]) end
settle()
append_event('cancelled', 'cancelled', now, '', cancelled, 'erased')
return replies
