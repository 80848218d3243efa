-- Part `rates`: how many jobs of a queue with limits may start in a time (GCRA), of all and of a key; see _gate.lua. Needs
-- `numbers`, `queue`, `moves`, `limits` and `lanes`.

local function open_rates(limits, lanes)
  local flow, now = limits.flow, limits.now
  local rates, waiting, state = limits.rates, limits.waiting, limits.state
  local self = {}

  -- How many may start now, and from when on one more may. `every` is the ms from one start to the next.
  local function tokens(spent_until, every, burst)
    local from = math.max(tonumber(spent_until) or 0, now)
    return math.floor((now + burst * every - from) / every + 1e-6), from + every - burst * every
  end
  local function spend(spent_until, every, count)
    return string.format('%.3f', math.max(tonumber(spent_until) or 0, now) + count * every)
  end

  -- How many of `wanted` jobs the rate of the queue lets start.
  function self.room(wanted)
    if not flow.r or wanted <= 0 then return wanted end
    if flow.rb <= 0 then return 0 end -- a part of nothing: no time alone changes that
    local free, at = tokens(redis.call('HGET', state, 'tat'), flow.r, flow.rb)
    if free <= 0 then limits.wake_at(at) end
    return math.min(wanted, free)
  end
  function self.spend(count)
    if not flow.r or count == 0 then return end
    redis.call('HSET', state, 'tat', spend(redis.call('HGET', state, 'tat'), flow.r, count))
  end

  -- Up to when the rates of keys are spent, in the order of the keys.
  function self.spent_until(keys) return flow.kr and redis.call('ZMSCORE', rates, unpack(keys)) or {} end

  -- The same as `room` of a key.
  function self.room_of(key, spent_until, wanted)
    if not flow.kr or key == '' or wanted <= 0 then return wanted end
    local free, at = tokens(spent_until, flow.kr, flow.krb)
    if free <= 0 then
      redis.call('ZADD', waiting, int(math.ceil(at)), key)
      limits.wake_at(at)
    end
    return math.min(wanted, free)
  end

  -- Note in `spent`, for one ZADD, that jobs of a key start.
  function self.spend_of(key, spent_until, count, spent)
    if not flow.kr then return end
    spent[#spent + 1], spent[#spent + 2] = spend(spent_until, flow.kr, count), key
  end
  function self.store_spent(spent)
    if #spent > 0 then redis.call('ZADD', rates, unpack(spent)) end
  end

  -- What was drawn was no job: nothing has started.
  function self.refund(key)
    if flow.r then redis.call('HINCRBYFLOAT', state, 'tat', -flow.r) end
    if flow.kr and key ~= '' then redis.call('ZINCRBY', rates, -flow.kr, key) end
  end

  -- Keys whose rate is free again, or that are held back no more. One that is free for long is as one that was never seen.
  function self.wake_keys()
    if not flow.kr and not limits.keys_held_until then return end
    local idle = redis.call('ZRANGEBYSCORE', rates, '-inf', int(now), 'LIMIT', 0, 200)
    local free = redis.call('ZRANGEBYSCORE', waiting, '-inf', int(now), 'LIMIT', 0, 200)
    if #idle > 0 then redis.call('ZREM', rates, unpack(idle)) end
    if #free > 0 then redis.call('ZREM', waiting, unpack(free)) end
    for _, key in ipairs(free) do lanes.rejoin(key) end
    -- The mark goes with the first key that it was for, and the others may be the only ones that have jobs by then.
    local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
    if first[1] then limits.wake_at(tonumber(first[2])) end -- @bug:forgets-who-waits
    local is_over = not first[1] and (limits.keys_held_until or math.huge) <= now
    if is_over then redis.call('HDEL', settings, 'keys_held_until') end
  end

  return self
end
