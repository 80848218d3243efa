-- Part `turns`: which of the waiting jobs of a queue with limits are let in; see _gate.lua. Needs `numbers`, `queue`,
-- `moves`, `limits`, `lanes`, `holds`, `slots` and `rates`.

local TURNS = 20

-- Lanes have their turns by virtual time (start-time fair queueing): each job that is let in moves its lane on by 1/weight.
local function open_turns(limits, lanes, holds, slots, rates)
  local self = {}

  -- What one turn has to write, for all lanes at once.
  local function store_turn(index, turn)
    if #turn.gone > 0 then redis.call('ZREM', lanes.ring_of(index), unpack(turn.gone)) end
    if #turn.later > 0 then redis.call('ZADD', lanes.ring_of(index), unpack(turn.later)) end
    if #turn.held > 0 then redis.call('HSET', limits.slots, unpack(turn.held)) end
    rates.store_spent(turn.spent)
  end

  -- Draw from one lane up to its share of `wanted`. Returns how many jobs were let in.
  local function draw_lane(index, key, at, held, spent_until, wanted, share, admit, turn)
    local may = rates.room_of(key, spent_until, holds.room_of(key, slots.room_of(key, held, wanted)))
    local wish = math.min(may, math.max(1, math.floor(share * lanes.weight_of(key))))
    local ids = wish > 0 and redis.call('LPOP', lanes.lane_of(index, key), int(wish))
    local taken = 0
    for _, id in ipairs(ids or {}) do
      if admit(index, id, key) then taken = taken + 1 end
    end
    if taken > 0 and key ~= '' then
      turn.held[#turn.held + 1], turn.held[#turn.held + 2] = key, int(held + taken)
      rates.spend_of(key, spent_until, taken, turn.spent)
    end
    if not ids or #ids < wish or slots.is_full(key, held + taken) then
      turn.gone[#turn.gone + 1] = key
    else
      turn.later[#turn.later + 1] = string.format('%.6f', at + taken / lanes.weight_of(key))
      turn.later[#turn.later + 1] = key
    end
    return taken
  end

  -- One turn of the ring: as many lanes as jobs are wanted, in the order of their virtual time. Returns how many jobs
  -- were let in, and whether there were lanes.
  local function take_turn(index, wanted, admit)
    local ring = lanes.ring_of(index)
    local top = redis.call('ZRANGE', ring, 0, int(wanted - 1), 'WITHSCORES')
    if #top == 0 then return 0, false end
    limits.begin()
    local keys, weight = {}, 0
    for at = 1, #top, 2 do
      keys[#keys + 1] = top[at]
      weight = weight + lanes.weight_of(top[at])
    end
    local count = #keys < wanted and #keys or redis.call('ZCARD', ring)
    local held, spent = redis.call('HMGET', limits.slots, unpack(keys)), rates.spent_until(keys)
    holds.look(keys)
    local turn, drawn = {gone = {}, later = {}, held = {}, spent = {}}, 0
    for at, key in ipairs(keys) do
      if drawn == wanted then break end
      drawn = drawn + draw_lane(index, key, tonumber(top[2 * at]), tonumber(held[at]) or 0, spent[at], wanted - drawn,
        wanted / weight * #keys / count, admit, turn)
    end
    store_turn(index, turn)
    return drawn, true
  end

  -- Let singles in, which came before all that stands in lanes. Returns how many were let in.
  local function draw_singles(index, wanted, admit)
    local drawn = 0
    while drawn < wanted do
      local ids, keys = lanes.pop_singles(index, wanted - drawn)
      if #ids == 0 then break end
      local held, spent = redis.call('HMGET', limits.slots, unpack(keys)), rates.spent_until(keys)
      holds.look(keys)
      local turn = {gone = {}, later = {}, held = {}, spent = {}}
      for at, key in ipairs(keys) do
        local before = tonumber(held[at]) or 0
        if rates.room_of(key, spent[at], holds.room_of(key, slots.room_of(key, before, 1))) < 1 then
          lanes.keep_out(ids[at], key, index)
        elseif admit(index, ids[at], key) then
          drawn = drawn + 1
          turn.held[#turn.held + 1], turn.held[#turn.held + 2] = key, int(before + 1)
          rates.spend_of(key, spent[at], 1, turn.spent)
        end
      end
      store_turn(index, turn)
    end
    return drawn
  end

  -- Let up to `wanted` jobs of a priority in. admit(index, id, key) says whether the job still waits there.
  function self.draw(index, wanted, admit)
    local has_lanes = wanted > 0 and lanes.parked(index) > 0
    local drawn = has_lanes and draw_singles(index, wanted, admit) or 0
    for _ = 1, TURNS do
      if drawn >= wanted or not has_lanes then break end
      local more
      more, has_lanes = take_turn(index, wanted - drawn, admit)
      drawn = drawn + more
    end
    -- Turns of tombstones alone: a dispatcher goes on.
    if drawn < wanted and has_lanes then limits.wake_at(limits.now) end
    lanes.change_parked(index, -drawn)
    rates.spend(drawn)
    return drawn
  end

  return self
end
