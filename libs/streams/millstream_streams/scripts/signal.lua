-- Send a signal to a job. It is kept until a wait of the job takes it; a job that waits for it becomes ready.
--
-- Caller      ingest
-- Idempotent  by idempotency key for as long as that is kept
-- Needs       numbers queue past moves gate
-- KEYS        1-4, 6 as in _queue.lua, written; 7 read
-- ARGV[2]     job id
-- ARGV[3]     name of the signal
-- ARGV[4]     payload (MessagePack)
-- ARGV[5]     fingerprint of the request
-- ARGV[6]     idempotency key (a Redis key), or ''
-- ARGV[7]     ms for which the key is kept
-- ARGV[8]     signals that may be kept for a job
-- Returns     1 the job waited for it, and is ready; 2 kept; 0 replayed; -1 the job has ended; -2 there is no such job; -3
--             the idempotency key was used for another request; -4 too many are kept already

local id, name, idempotency_key = ARGV[2], ARGV[3], ARGV[6]
local key = jobs .. id
local OVER = {succeeded = true, cancelled = true, expired = true}

if idempotency_key ~= '' then
  local stored_with = redis.call('GET', idempotency_key)
  if stored_with then return string.match(stored_with, '^%x+') == ARGV[5] and 0 or -3 end
end
local state, old_version, waited, waiting_for, priority, number, started_at = unpack(redis.call('HMGET', key,
  'state', 'version', 'waited', 'waiting_for', 'priority', 'deliveries', 'started_at'))
if not state then return -2 end
if OVER[state] or is_foreign(state) then return -1 end -- @bug:signals-after-the-end
if redis.call('XLEN', signals_key(id)) >= tonumber(ARGV[8]) then return -4 end
-- The first write: a full Redis takes no new signals.
redis.call('XADD', signals_key(id), '*', 'name', name, 'payload', ARGV[4])
if idempotency_key ~= '' then redis.call('SET', idempotency_key, ARGV[5] .. ' ' .. id, 'PX', ARGV[7]) end
if not has_steps(waited) then redis.call('HSET', key, 'waited', (waited or '') .. 's') end
local is_awaited = state == 'scheduled' and waiting_for == name -- @bug:waiter-sleeps-on
if not is_awaited then return 2 end
local now, version, woken = now_ms(), next_version(old_version, state), {}
redis.call('ZREM', due, id)
redis.call('HDEL', key, 'waiting_for', 'run_at')
make_ready(id, priority, version, now)
record(woken, id, version, deliveries_of(number, started_at))
settle()
append_event('released', 'queued', now, '', woken)
return 1
