-- Part `fleet`: the keys of the registry, and which workers are alive. Needs `numbers`.
--
-- KEYS[1]     hash    types: `<tenant>/<type>` to `<start> <worker> <registration>`, the last one that counted; and
--                     `<release>` to all registrations of the workers of that release (MessagePack)
-- KEYS[2]     zset    starts: `<start> <release> <worker>` by the Unix ms until which that worker counts as alive
-- KEYS[3]     hash    workers: a hash as in _heartbeats.lua
--
-- A start is the Unix ms at which a worker first registered. A release is a digest of what a worker registers.

local types, starts, workers = KEYS[1], KEYS[2], KEYS[3]

local function member(start, release, worker) return int(start) .. ' ' .. release .. ' ' .. worker end

-- Forget the starts whose time is over: the first write of each script of the registry, see _queue.lua.
local function forget_silent(now) redis.call('ZREMRANGEBYSCORE', starts, '-inf', int(now)) end

-- Returns the live starts as {start, release} by worker.
local function read_starts()
  local found = {}
  for _, text in ipairs(redis.call('ZRANGE', starts, 0, -1)) do
    local start, release, worker = string.match(text, '^(%d+) (%S+) (.*)$')
    if start then found[worker] = {start = tonumber(start), release = release, member = text} end
  end
  return found
end
