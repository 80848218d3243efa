-- Have the workflows of jobs told of them again that have settled, in case these do not know it.
--
-- Caller      dispatchers
-- Idempotent  yes
-- Needs       numbers queue moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2..]   job ids
-- Returns     per job: 1 its workflow will be told; 0 it has not settled; -2 there is no such job

local now = now_ms()
local replies = {}

local function tell_of(id)
  local state = redis.pcall('HGET', jobs .. id, 'state')
  if type(state) ~= 'string' then
    -- One that was erased still has to be told of.
    local erased = redis.pcall('HGET', erased_key(), id)
    if type(erased) ~= 'string' then return -2 end
  elseif not SETTLED[state] then
    return 0
  end
  put_into_outbox(id, now)
  return 1
end

-- The first write, for a full Redis.
redis.call('ZREM', outbox_key(), '')
for at = 2, #ARGV do replies[#replies + 1] = tell_of(ARGV[at]) end
return replies
