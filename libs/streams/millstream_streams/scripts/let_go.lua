-- Let jobs be forgotten that a handler has called, because it has their results.
--
-- Caller      workers, for durable handlers
-- Idempotent  yes
-- Needs       numbers queue moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2..]   job ids
-- Returns     how many of them are forgotten by this after the time that their own type says

local count = 0

local function let_go(id)
  local key = jobs .. id
  local job = redis.pcall('HMGET', key, 'own_ttl', 'waited')
  if job.err or not job[1] then return end
  -- The first write, for a full Redis.
  redis.call('HDEL', key, 'own_ttl')
  redis.call('HSET', key, 'ttl', job[1])
  local others = redis.pcall('ZRANGE', children_key(id), 0, 0)
  -- One that has to be told of begins its time when it is.
  if others[1] or string.find(job[2] or '', 'f', 1, true) then return end
  redis.call('PEXPIRE', key, job[1])
  count = count + 1
end

for at = 2, #ARGV do let_go(ARGV[at]) end
return count
