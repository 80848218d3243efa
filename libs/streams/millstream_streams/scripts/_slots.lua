-- Part `slots`: how many jobs of a queue with limits may run at once, of all and of a key; see _gate.lua. Needs `numbers`,
-- `queue`, `moves`, `limits` and `lanes`.

local function open_slots(limits, lanes)
  local flow, slots = limits.flow, limits.slots
  local key_limit = flow.kc or math.huge
  local self = {}

  -- How many of `wanted` jobs the queue has slots for, by its own limit and by its part of the quota of its tenant.
  function self.room(wanted)
    if flow.c or limits.quota then
      local held = redis.call('XLEN', ready[1]) + redis.call('XLEN', ready[2]) + redis.call('XLEN', ready[3])
      wanted = math.min(wanted, (flow.c or math.huge) - held) -- @bug:unlimited
      wanted = math.min(wanted, (limits.quota or math.huge) - held) -- @bug:beyond-its-quota
    end
    return wanted
  end

  -- The same of a key, of which `held` are in the streams.
  function self.room_of(key, held, wanted)
    return key == '' and wanted or math.min(wanted, key_limit - held)
  end
  function self.is_full(key, held) return key ~= '' and held >= key_limit end

  -- A job of a key has started whose entry was there before the gate.
  function self.hold(key)
    limits.begin()
    if key ~= '' then redis.call('HINCRBY', slots, key, 1) end
  end

  -- Slots that are free by this call, by key.
  local freed = {}
  function self.free(key)
    if key and key ~= '' then freed[key] = (freed[key] or 0) + 1 end -- @bug:slot-leaks
  end

  function self.store_freed()
    local keys = {}
    for key in pairs(freed) do keys[#keys + 1] = key end
    if #keys == 0 then return end
    limits.begin()
    local held, kept, gone = redis.call('HMGET', slots, unpack(keys)), {}, {}
    for at, key in ipairs(keys) do
      local before = tonumber(held[at]) or 0
      local left = before - freed[key]
      if left > 0 then
        kept[#kept + 1], kept[#kept + 2] = key, int(left)
      else
        gone[#gone + 1] = key
      end
      if left < key_limit and before >= key_limit then lanes.rejoin(key) end -- @bug:full-for-ever
    end
    if #gone > 0 then redis.call('HDEL', slots, unpack(gone)) end
    if #kept > 0 then redis.call('HSET', slots, unpack(kept)) end
    freed = {}
  end

  -- Count the slots anew: the jobs that run, by key.
  function self.recount()
    redis.call('PEXPIRE', slots, '-1')
    for index = 1, 3 do
      -- pcall: before the first claim there is no group.
      local pending = redis.pcall('XPENDING', ready[index], GROUP, '-', '+', 100000)
      for _, item in ipairs(pending.err and {} or pending) do
        local found = redis.call('XRANGE', ready[index], item[1], item[1])
        local job = found[1] and redis.call('HMGET', jobs .. found[1][2][2], 'state', 'lane') or {}
        if job[1] == 'running' and job[2] then redis.call('HINCRBY', slots, job[2], 1) end
      end
    end
  end

  return self
end
