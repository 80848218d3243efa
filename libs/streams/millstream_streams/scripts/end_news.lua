-- Note which children and workflows were told of jobs, and let those jobs be forgotten of which all have been told.
--
-- Caller      dispatchers
-- Idempotent  by version: a job that has moved on since it was told stays to be told again
-- Needs       numbers queue past moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2..]   per child four values: job id of the parent; version of it that was told; job id of the child, or '' when a
--             workflow was told; '1' when the child goes on waiting for this parent
-- Returns     how many parents are settled

local now = now_ms()
local told, order = {}, {}

local function note(parent, version, child, is_kept)
  if not told[parent] then
    told[parent] = version
    order[#order + 1] = parent
  end
  if child == '' then return end
  if is_kept then
    redis.pcall('ZADD', children_key(parent), 'XX', version, child)
  else
    redis.pcall('ZREM', children_key(parent), child)
  end
end

-- Whether all know of a job, and the ms for which it can be read then.
local function is_settled(parent)
  local job = redis.pcall('HMGET', jobs .. parent, 'state', 'version', 'ttl', 'waited')
  local state = not job.err and job[1]
  local version = state and version_of(job[2], state) or GONE
  if int(version) ~= told[parent] then return false end -- @bug:any-version
  if not state then redis.pcall('HDEL', erased_key(), parent) end
  -- `k` as in _moves.lua; of a job that is gone it is not known any more.
  local may_have_children = not state or string.find(job[4] or '', 'k', 1, true)
  local left = may_have_children and redis.pcall('ZCOUNT', children_key(parent), '-inf', '(' .. told[parent]) or 0
  if left == 0 then return true, job[3] end
  -- The next round of its children, at once.
  redis.call('ZADD', outbox_key(), 'XX', int(now), parent)
  return false
end

-- The first write, for a full Redis.
redis.call('ZREM', outbox_key(), '')
for at = 2, #ARGV, 4 do note(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1') end
local settled = {}
for _, parent in ipairs(order) do
  local is_told, ttl_ms = is_settled(parent)
  if is_told then
    if ttl_ms then redis.call('PEXPIRE', jobs .. parent, ttl_ms) end
    settled[#settled + 1] = parent
  end
end
for from = 1, #settled, 1000 do
  redis.call('ZREM', outbox_key(), unpack(settled, from, math.min(#settled, from + 999)))
end
return #settled
