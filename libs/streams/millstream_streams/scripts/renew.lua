-- Renew the leases of running jobs, and note the progress of their handlers.
--
-- Caller      the lease keeper of a worker
-- Idempotent  yes
-- KEYS        1-3 as in _queue.lua, written
-- ARGV[2]     consumer
-- ARGV[3..]   per job five values: priority index, entry id, job id, token, progress (MessagePack) or ''
-- Returns     per job: 1 renewed; 2 renewed, and its cancellation is wanted; -1 lost: somebody else has it, or nobody
--
-- A plain XCLAIM would steal the job back from its new owner: only whoever has both the token and the pending
-- entry may renew.

local consumer = ARGV[2]
local owned = {{}, {}, {}}
local notes = {}
local replies = {}

for at = 3, #ARGV, 5 do
  local index, entry, key = tonumber(ARGV[at]), ARGV[at + 1], jobs .. ARGV[at + 2]
  local job = redis.call('HMGET', key, 'token', 'cancel')
  -- pcall: the stream and its group may be gone since, and with them the lease.
  local pending = redis.pcall('XPENDING', ready[index], GROUP, entry, entry, 1)
  if job[1] == ARGV[at + 3] and pending[1] ~= nil and pending[1][2] == consumer then
    table.insert(owned[index], entry)
    if ARGV[at + 4] ~= '' then notes[key] = ARGV[at + 4] end
    replies[#replies + 1] = job[2] and 2 or 1
  else
    replies[#replies + 1] = -1
  end
end

-- The leases first: a first write that needs no memory lets the rest pass as well when Redis is full.
for index = 1, 3 do
  if #owned[index] > 0 then
    local claim = {'XCLAIM', ready[index], GROUP, consumer, 0}
    for _, entry in ipairs(owned[index]) do claim[#claim + 1] = entry end
    claim[#claim + 1] = 'JUSTID'
    redis.call(unpack(claim))
  end
end
for key, progress in pairs(notes) do redis.call('HSET', key, 'progress', progress) end
return replies
