-- Change the priority of jobs that have not started.
--
-- Caller      ingest, and dispatchers for operations
-- Idempotent  yes
-- Needs       numbers queue past moves gate
-- KEYS        1-4, 6 as in _queue.lua, written; 7 read
-- ARGV[2]     `high`, `normal` or `low`
-- ARGV[3..]   job ids
-- Returns     per job: 1 changed: a ready one stands behind those that had this priority before it; 0 it has this
--             priority; -1 it runs, is dead or has ended; -2 there is no such job

local now = now_ms()
local wanted = ARGV[2]
local replies, changed = {}, {queued = {}, scheduled = {}, blocked = {}}

-- A ready job keeps the time since when it is ready.
local function change_stream(id, key, entry, priority)
  withdraw(id, entry, priority)
  local index = stream_index(wanted)
  if gate then
    redis.call('HDEL', key, 'entry')
    return gate.park(id, redis.call('HGET', key, 'lane') or '', index, false)
  end
  redis.call('HSET', key, 'entry', redis.call('XADD', ready[index], '*', 'id', id))
end

local function set_priority(id)
  local key = jobs .. id
  local state, entry, priority, old_version, number, started_at = unpack(redis.call('HMGET', key,
    'state', 'entry', 'priority', 'version', 'deliveries', 'started_at'))
  if not state then return -2 end
  local transitions = changed[state]
  if not transitions then return -1 end
  if stream_index(priority) == stream_index(wanted) then return 0 end
  -- The first write: people call this when Redis is full as well.
  redis.call('HDEL', key, 'progress')
  local version = next_version(old_version, state)
  if state == 'queued' then change_stream(id, key, entry, priority) end
  redis.call('HSET', key, 'priority', wanted, 'version', int(version))
  record(transitions, id, version, deliveries_of(number, started_at))
  return 1
end

for at = 3, #ARGV do replies[#replies + 1] = set_priority(ARGV[at]) end
settle()
for state, transitions in pairs(changed) do append_event('priority_changed', state, now, '', transitions, wanted) end
return replies
