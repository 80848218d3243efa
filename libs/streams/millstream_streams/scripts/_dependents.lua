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

-- In place of the version of a job that is gone: later than any.
local GONE = 9007199254740991

local SETTLED = {succeeded = true, cancelled = true, expired = true, dead = true}

-- Take a job whose listeners know all from the outbox, and let it be forgotten.
local function settle_news(id)
  redis.call('ZREM', outbox_key(), id)
  local ttl_ms = redis.pcall('HGET', jobs .. id, 'ttl')
  if type(ttl_ms) == 'string' then redis.call('PEXPIRE', jobs .. id, ttl_ms) end
end
