-- Part `holds`: a queue that a handler holds back for a while, or some of its keys; see _gate.lua and _holding.lua. Needs
-- `numbers`, `queue`, `moves`, `limits` and `lanes`.

local function open_holds(limits, lanes)
  local self = {}
  local function is_held(at) return at ~= nil and at > limits.now end

  -- How many of `wanted` jobs of all keys may start.
  function self.room(wanted)
    if wanted <= 0 or not is_held(limits.held_until) then return wanted end -- @bug:held-type-starts
    limits.wake_at(limits.held_until)
    return 0
  end

  -- Read up to when these keys are held back. Nothing is asked where none is.
  local until_of = {}
  function self.look(keys)
    if not is_held(limits.keys_held_until) then return end
    -- pcall: a key that something else has written holds nothing back.
    local found = redis.pcall('ZMSCORE', limits.held, unpack(keys))
    for at, key in ipairs(keys) do until_of[key] = not found.err and tonumber(found[at]) or nil end
  end

  -- The same as `room` of a key, which was looked at.
  function self.room_of(key, wanted)
    local at = until_of[key]
    if wanted <= 0 or not is_held(at) then return wanted end -- @bug:held-key-starts
    redis.call('ZADD', limits.waiting, int(math.ceil(at)), key)
    limits.wake_at(at)
    return 0
  end

  -- Whether a job of a key may start that was let in before.
  function self.admits(key)
    if is_held(limits.held_until) then return false end
    if key ~= '' then self.look({key}) end
    return not is_held(until_of[key])
  end

  -- Have a dispatcher look when the last hold of a key is over: jobs of that key may have come meanwhile.
  function self.remind()
    if is_held(limits.keys_held_until) then limits.wake_at(limits.keys_held_until) end
  end

  -- Whether the queue needs a gate for the keys that are held back.
  function self.need_gate() return is_held(limits.keys_held_until) end

  return self
end
