-- Part `holding`: how a handler holds its queue back for a while, or its key (`Snooze(..., gate=...)`). Needs `numbers`,
-- `queue`, `moves` and `gate`.
--
-- Keys:
--   settings     fields `held_until`, Unix ms up to which no job of the queue starts, and `held_by`, the job whose handler asked
--                for that; `keys_held_until`, Unix ms up to which some key is held back
--   held         zset: keys that are held back, by the Unix ms up to which they are; it goes with the last of them
-- A queue without limits gets an empty gate for keys that are held back, which leaves by itself (ADR 99). For the whole queue
-- it needs none: claims look at the time.

-- A handler may pass on what a stranger has told it.
local MAX_HOLD_MS = 24 * 3600 * 1000

local queue_held, queue_held_by, keys_held = 0, '', {}

-- Hold back the whole queue, for the handler of a job.
local function hold_queue(ms, id, now)
  local at = now + math.min(ms, MAX_HOLD_MS)
  if at > queue_held then queue_held, queue_held_by = at, id end
end

-- Note what the snooze of a job holds back: `<ms>`, with ` type` or ` key` behind it. Returns the ms.
local function note_snooze(id, text, now)
  local ms, what = string.match(text, '^(%d+) ?(%a*)$')
  ms = tonumber(ms)
  if what == 'type' then hold_queue(ms, id, now) end
  local key = what == 'key' and redis.call('HGET', jobs .. id, 'lane') or ''
  if key ~= '' then keys_held[key] = math.max(keys_held[key] or 0, now + math.min(ms, MAX_HOLD_MS)) end
  return ms
end

local function store_held_keys(now)
  local held, latest, args = string.sub(jobs, 1, -5) .. 'held', tonumber(setting('keys_held_until')) or 0, {}
  for key, at in pairs(keys_held) do
    args[#args + 1], args[#args + 2] = int(at), key
    latest = math.max(latest, at)
  end
  -- A hold is not made shorter. pcall: a key that something else has written must not end a transition in the middle.
  local stored = redis.pcall('ZADD', held, 'GT', unpack(args)) -- @bug:key-is-not-held
  if type(stored) == 'table' and stored.err then return end
  redis.call('PEXPIRE', held, int(latest - now))
  redis.call('HSET', settings, 'keys_held_until', int(latest))
  if gate then return gate.hold(nil, latest) end
  -- NX: limits that this release cannot read stay.
  redis.call('HSETNX', settings, '!flow', '\128')
  read_settings()
  if gate then gate.recount() end
end

-- Write what this call holds back, before it settles. Its first write is made.
local function store_holds(now)
  local is_longer = queue_held > (tonumber(setting('held_until')) or 0)
  -- A hash that something else has written must not end a transition in the middle.
  if set.err or not (is_longer or next(keys_held) ~= nil) then return end
  if is_longer then
    redis.call('HSET', settings, 'held_until', int(queue_held), 'held_by', queue_held_by) -- @bug:type-is-not-held
    if gate then gate.hold(queue_held, nil) end
  end
  if next(keys_held) ~= nil then store_held_keys(now) end
end
