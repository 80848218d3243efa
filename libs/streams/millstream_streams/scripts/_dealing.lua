-- Part `dealing`: what a queue says to a dealer, which deals out a limit that several queues share, and whether it takes
-- anything from it (ADR 106, ADR 130). Needs `numbers`, `queue`, `moves` and `gate`.

-- Whether a deal of this turn may change the queue: no later one has been there. `field` of the settings has the last one.
local function note_turn(field, turn)
  local is_late = turn < tonumber(setting(field) or 0) -- @bug:late-deals
  if is_late then return false end
  -- The first write: limits are dealt out also when Redis is full.
  redis.call('HDEL', settings, '')
  redis.call('HSET', settings, field, int(turn))
  return true
end

-- Entries that became ready before the queue had limits, and that no worker has read: they hold no slot. They stand before all
-- others, because none is let in while one of them lies ready.
local function without_slot(index)
  local head = gate.unread(index, 1)[1]
  if not head or head[2][3] then return 0 end
  -- pcall: before the first claim there is no group.
  local pending = redis.pcall('XPENDING', ready[index], GROUP)
  return math.max(0, redis.call('XLEN', ready[index]) - (pending.err and 0 or pending[1]))
end

-- How many jobs have slots: they run, or a worker is about to be given them. And how many wait for one.
local function count_jobs()
  local held, waiting = 0, 0
  for index = 1, 3 do
    local without = gate and without_slot(index) or 0
    held = held + redis.call('XLEN', ready[index]) - without
    waiting = waiting + (gate and gate.parked(index) or 0) + without
  end
  return held, waiting
end
