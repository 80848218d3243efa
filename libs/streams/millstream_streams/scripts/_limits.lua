-- Part `limits`: what the other parts of a gate share, see _gate.lua: its keys, its first write and its mark. Needs
-- `numbers`, `queue` and `moves`.

-- It stands in `due` and has a dispatcher look when time alone lets more in. No job id begins with `~`.
local MARK = '~flow'
local WAKE_AFTER_MS = 5

local function open_limits(flow)
  local base = string.sub(jobs, 1, -5)
  local self = {flow = flow, now = now_ms(), base = base, state = base .. 'flow', slots = base .. 'slots',
    rates = base .. 'rates', waiting = base .. 'waiting', held = base .. 'held',
    held_until = tonumber(setting('held_until')), keys_held_until = tonumber(setting('keys_held_until')),
    quota = tonumber(string.match(setting('!quota') or '', '^(%d+) '))}

  -- The first write of what follows, which may be a ZADD. No hash has a field without a name.
  local has_begun = false
  function self.begin()
    if not has_begun then redis.call('HDEL', self.state, '') end
    has_begun = true
  end

  function self.wake_at(at)
    self.begin()
    at = math.ceil(math.max(at, self.now + WAKE_AFTER_MS))
    local known, head = redis.call('ZSCORE', due, MARK), redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
    local is_soon_enough = known and tonumber(known) <= at and tonumber(known) > self.now
    if is_soon_enough then return end
    redis.call('ZADD', due, int(at), MARK) -- @bug:sleeps-on
    if head[1] == nil or at < tonumber(head[2]) then hint('due', string.match(jobs, '{(.-)}')) end
  end

  return self
end
