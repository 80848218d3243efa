-- Part `lanes`: where the jobs of a queue with limits wait, and the rings in which lanes have their turns; see _gate.lua.
-- Needs `numbers`, `queue`, `moves` and `limits`.

-- A longer lane keeps the jobs that leave it from its middle as tombstones: to search it takes too long.
local SEARCHED_LANE = 1000

local function open_lanes(limits)
  local base, state, flow, begin = limits.base, limits.state, limits.flow, limits.begin
  local weights = flow.w or {}
  local self = {}

  function self.lane_of(index, key) return base .. 'backlog:' .. index .. ':' .. key end
  function self.ring_of(index) return base .. 'ring:' .. index end
  local function singles_of(index) return base .. 'singles:' .. index end
  function self.weight_of(key) return weights[key] or 1 end
  local lane_of, ring_of, weight_of = self.lane_of, self.ring_of, self.weight_of

  -- How many jobs wait in lanes, by priority: what Redis has, and what this call has changed of it.
  local stored, changed = nil, {0, 0, 0}
  local function parked(index)
    if not stored then
      stored = redis.call('HMGET', state, 'parked1', 'parked2', 'parked3')
      for at = 1, 3 do stored[at] = tonumber(stored[at]) or 0 end
    end
    return stored[index] + changed[index]
  end
  self.parked = parked
  function self.all_parked() return parked(1) + parked(2) + parked(3) end
  function self.change_parked(index, by) changed[index] = changed[index] + by end

  local function forget_tombstones(index)
    local keys = redis.call('ZRANGE', ring_of(index), 0, 99)
    for _, key in ipairs(keys) do redis.call('PEXPIRE', lane_of(index, key), '-1') end
    if #keys > 0 then redis.call('ZREM', ring_of(index), unpack(keys)) end
  end

  function self.store_parked()
    for index = 1, 3 do
      local count = parked(index)
      if changed[index] ~= 0 then
        begin()
        redis.call('HSET', state, 'parked' .. index, int(count))
        stored[index], changed[index] = count, 0
      end
      if count == 0 then forget_tombstones(index) end
    end
  end

  -- A lane joins behind the turn that is on. If it joined at the head, those that leave and come back all the time would
  -- starve the one that stays.
  local joining = {{}, {}, {}}
  local function join(index)
    local keys = joining[index]
    if #keys == 0 then return end
    begin()
    local head, args = redis.call('ZRANGE', ring_of(index), 0, 0, 'WITHSCORES'), {}
    for at, key in ipairs(keys) do
      args[2 * at - 1] = string.format('%.6f', (tonumber(head[2]) or 0) + 1 / weight_of(key)) -- @bug:joins-at-the-head
      args[2 * at] = key
    end
    for at = 1, #args, 1000 do
      redis.call('ZADD', ring_of(index), 'NX', unpack(args, at, math.min(at + 999, #args)))
    end
    joining[index] = {}
  end
  function self.join_rings()
    for index = 1, 3 do join(index) end
  end

  -- Have the lanes of a key take part again that its limits kept out.
  function self.rejoin(key)
    for index = 1, 3 do
      if parked(index) > 0 and redis.call('EXISTS', lane_of(index, key)) == 1 then
        joining[index][#joining[index] + 1] = key
      end
    end
  end

  -- Jobs on their way into lanes.
  local pushed, lanes = {}, {}

  -- Where no job of a priority waits, those whose keys have one job of this call each share one list, `singles`: a lane, and
  -- a turn of it, would be made and removed for each. So no key stands there twice, and all others come after them.
  local has_singles = {}
  local function is_single(lane)
    -- The cap of a key counts its lanes.
    if flow.kcap or has_singles[lane.index] or lane.is_first or lane.key == '' or #lane.ids > 1 then return false end
    parked(lane.index)
    return stored[lane.index] == 0 -- @bug:always-alone
  end

  local function push_singles()
    local singles, others = {{}, {}, {}}, {}
    for _, lane in ipairs(lanes) do
      local list = is_single(lane) and singles[lane.index] or others
      list[#list + 1] = list == others and lane or lane.ids[1] .. ' ' .. lane.key
    end
    for index, list in ipairs(singles) do
      if #list > 0 then
        begin()
        redis.call('RPUSH', singles_of(index), unpack(list))
        has_singles[index] = true
      end
    end
    lanes = others
  end

  -- One RPUSH for each lane, or LPUSH for jobs that a worker gave back.
  local function push()
    if #lanes > 0 then push_singles() end
    for _, lane in ipairs(lanes) do
      begin()
      local name, length = lane_of(lane.index, lane.key), nil
      if lane.is_first then
        -- The last of an LPUSH is the first of the list.
        local ids, last = {}, #lane.ids
        for at = 1, last do ids[at] = lane.ids[last + 1 - at] end
        length = redis.call('LPUSH', name, unpack(ids))
      else
        length = redis.call('RPUSH', name, unpack(lane.ids))
      end
      if length == #lane.ids then table.insert(joining[lane.index], lane.key) end
    end
    pushed, lanes = {}, {}
  end
  self.push = push

  -- Have a queued job without an entry wait in its lane.
  function self.park(id, key, index, is_first)
    local name = index .. ':' .. key
    local lane = pushed[name]
    if lane and lane.is_first ~= is_first then
      push()
      lane = nil
    end
    if not lane then
      lane = {index = index, key = key, is_first = is_first, ids = {}}
      pushed[name], lanes[#lanes + 1] = lane, lane
    end
    lane.ids[#lane.ids + 1] = id
    changed[index] = changed[index] + 1
  end

  -- Take a job from its lane that starts no more.
  function self.leave(id, key, index)
    push()
    begin()
    local lane = lane_of(index, key)
    local was_single = redis.call('LREM', singles_of(index), 1, id .. ' ' .. key) > 0 -- @bug:leaves-a-ghost
    if not was_single and redis.call('LLEN', lane) <= SEARCHED_LANE then redis.call('LREM', lane, 1, id) end
    changed[index] = changed[index] - 1
  end

  -- Take up to so many singles. Returns ids, and their keys; none where there is none.
  function self.pop_singles(index, wanted)
    begin()
    local ids, keys = {}, {}
    for at, text in ipairs(redis.call('LPOP', singles_of(index), int(wanted)) or {}) do
      ids[at], keys[at] = string.match(text, '^(%S*) ?(.*)$')
    end
    return ids, keys
  end

  -- Have one that its key keeps out wait in its lane, before all others: what lets the key in has it take part.
  function self.keep_out(id, key, index)
    redis.call('LPUSH', lane_of(index, key), id) -- @bug:kept-out-for-ever
  end

  return self
end
