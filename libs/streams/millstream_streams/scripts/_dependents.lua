-- Part `dependents`: jobs that are blocked until others have settled. Needs `numbers`, `queue` and `moves`.
--
-- A parent and its child lie in different queues, and so no step moves both. Each edge is known on both sides: the child
-- has its open parents, and the parent its children. docs/internals.md has the protocol.

-- zset by Unix ms: blocked jobs, by when the linker looks at them next
local function blocked_key() return string.sub(jobs, 1, -5) .. 'blocked' end

-- set: the parents of a blocked job that have not settled yet, or not so that it may start
local function open_key(id) return string.sub(jobs, 1, -5) .. 'after:' .. id end

-- zset: the blocked jobs that wait for this one, by the version of it that they were told last
local function children_key(id) return string.sub(jobs, 1, -5) .. 'kids:' .. id end

-- Take a job from where blocked jobs wait. The first write where it is one.
local function unblock(id)
  redis.call('ZREM', blocked_key(), id)
  -- A time that is past removes a key at once.
  redis.call('PEXPIRE', open_key(id), '-1')
end

-- How long a submitter or a worker may take to tell the parents of a blocked job; then the linker does it.
local LINKED_WITHIN_MS = 10000

local function ids_in(text)
  local ids = {}
  for id in string.gmatch(text, '[^,]+') do ids[#ids + 1] = id end
  return ids
end

-- Have a job wait for others. These are told of it afterwards.
local function wait_for_jobs(id, open, now)
  for at = 1, #open, 1000 do
    redis.call('SADD', open_key(id), unpack(open, at, math.min(at + 999, #open)))
  end
  redis.call('ZADD', blocked_key(), int(now + LINKED_WITHIN_MS), id)
end

-- hash: of which workflow a job was that was erased, until that knows it
local function erased_key() return string.sub(jobs, 1, -5) .. 'erased' end

-- In place of the version of a job that is gone: later than any.
local GONE = 9007199254740991

local SETTLED = {succeeded = true, cancelled = true, expired = true, dead = true}

-- Take a job whose listeners know all from the outbox, and let it be forgotten.
local function settle_news(id, ttl_ms)
  redis.call('ZREM', outbox_key(), id)
  if ttl_ms then redis.call('PEXPIRE', jobs .. id, ttl_ms) end
end
