-- What the scripts of the registry share: its keys, and who is alive.
-- It stands before the text of each script. All of it runs inside of the script's own atomic step.
--
-- KEYS[1]     hash    types: `<tenant>/<type>` to `<start> <worker> <registration>`, the last one that counted; and
--                     `<release>` to all registrations of the workers of that release (MessagePack)
-- KEYS[2]     zset    starts: `<start> <release> <worker>` by the Unix ms until which that worker counts as alive
-- KEYS[3]     hash    workers: name to `<Unix ms of the heartbeat> <WorkerInfo>`
--
-- A start is the Unix ms at which a worker first registered. A release is a digest of what a worker registers.

local types, starts, workers = KEYS[1], KEYS[2], KEYS[3]

-- Lua's own number formatting writes exponents: every integer goes through here.
local function int(number) return string.format('%.0f', number) end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function member(start, release, worker) return int(start) .. ' ' .. release .. ' ' .. worker end

-- Forget the starts whose time is over. It is the first write of a script: needing no memory, it lets the rest pass
-- when Redis is full.
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
