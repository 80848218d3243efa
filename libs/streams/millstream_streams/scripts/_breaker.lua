-- Part `breaker`: the circuit breaker of a queue with limits, see _gate.lua. Needs `numbers`, `queue`, `moves` and `limits`.
--
-- Closed, it counts how attempts end, in two half windows that slide. When enough have ended and too many of them have
-- failed it opens: no job is let in, and what runs goes on. After a time it is half-open: a few jobs, the probes, are let in
-- at once. When as many have succeeded it closes; the first that fails opens it again, for twice the time. What an operator
-- opens stays open until an operator closes it.
--
-- `b` of `!flow`: `ratio` of failures; `window` ms; `min` attempts in it; `cool` ms to the first probe, `cap` at most; `probes`
-- Keys:
--   probes   set: ids of the jobs that were let in while it is half-open and have not ended. By id, so that the end of a
--            job from before is no probe's; it is dropped with each change of the state
--   flow     b_state: `open`, `forced` by an operator, or `half`; absent while it is closed. b_since, b_until: Unix ms; b_row:
--            how often it has opened without closing between; b_good: probes that have succeeded; b_failed, b_of: the attempts
--            that it opened for; b_reason: the operator's; b_opened: how often it has opened. b_half: Unix ms at which
--            the half window began, with b_ok and b_ko ends in it; b_ok0 and b_ko0 in the one before

local function open_breaker(limits)
  local set, state, now = limits.flow.b, limits.state, limits.now
  local probes = limits.base .. 'probes'
  local is_set = type(set) == 'table'
  local self = {is_set = is_set}

  local stored
  local function number(name) return tonumber(stored[name]) or 0 end

  local function forget()
    limits.begin()
    redis.call('PEXPIRE', probes, '-1')
    redis.call('HDEL', state, 'b_state', 'b_since', 'b_until', 'b_row', 'b_good', 'b_failed', 'b_of', 'b_reason', 'b_half',
      'b_ok', 'b_ko', 'b_ok0', 'b_ko0')
    stored = {}
  end

  -- Its state now: `open`, `forced`, `half`, or nil while it is closed.
  local function phase()
    if not is_set then return nil end
    if not stored then
      local found = redis.call('HMGET', state, 'b_state', 'b_until', 'b_row', 'b_good', 'b_half', 'b_ok', 'b_ko', 'b_ok0',
        'b_ko0')
      stored = {state = found[1], till = found[2], row = found[3], good = found[4], half = found[5], ok = found[6],
        ko = found[7], ok0 = found[8], ko0 = found[9]}
    end
    local is_over = stored.state == 'open' and number('till') <= now -- @bug:open-for-ever
    if is_over then
      limits.begin()
      redis.call('PEXPIRE', probes, '-1')
      redis.call('HSET', state, 'b_state', 'half', 'b_good', '0')
      stored.state, stored.good = 'half', 0
    end
    local known = stored.state
    return (known == 'open' or known == 'forced' or known == 'half') and known or nil
  end
  self.phase = phase

  local function trip(failed, of)
    local row = number('row') + 1
    local till = now + math.min(set.cool * 2 ^ math.min(row - 1, 30), set.cap)
    forget()
    redis.call('HSET', state, 'b_state', 'open', 'b_since', int(now), 'b_until', int(till), 'b_row', int(row), 'b_failed',
      int(failed), 'b_of', int(of))
    redis.call('HINCRBY', state, 'b_opened', 1)
    stored = {state = 'open', till = till, row = row}
    limits.wake_at(till)
  end

  -- A probe has a place for as long as its job has one. What is left of others, of a worker of another release, gives it back.
  local function free_places()
    local free = set.probes - redis.call('SCARD', probes)
    if free > 0 then return free end
    for _, id in ipairs(redis.call('SMEMBERS', probes)) do
      local found, entry = unpack(redis.call('HMGET', jobs .. id, 'state', 'entry'))
      if found ~= 'running' and not (found == 'queued' and entry) then redis.call('SREM', probes, id) end
    end
    return set.probes - redis.call('SCARD', probes)
  end

  -- How many of `wanted` jobs it lets in.
  function self.room(wanted)
    local known = phase()
    if not known or wanted <= 0 then return wanted end
    if known == 'half' then return math.min(wanted, free_places()) end -- @bug:any-number-of-probes
    if known == 'open' then limits.wake_at(number('till')) end
    return 0 -- @bug:lets-in-while-open
  end

  -- A job is let in, or was none.
  function self.start(id)
    if phase() == 'half' then redis.call('SADD', probes, id) end
  end
  function self.withdraw(id)
    if phase() == 'half' then redis.call('SREM', probes, id) end
  end

  -- Whether a job may start that was let in before: when it was, the breaker may have been closed.
  function self.admits(id)
    local known = phase()
    if not known then return true end
    if known ~= 'half' then return false end
    if redis.call('SISMEMBER', probes, id) == 1 then return true end
    if free_places() <= 0 then return false end
    limits.begin()
    redis.call('SADD', probes, id)
    return true
  end

  -- How attempts of this call have ended, by job: 1 with success, -1 with a failure, 0 with neither.
  local ended = {}
  function self.leave(id)
    if is_set then ended[id] = ended[id] or 0 end
  end
  function self.note_end(id, verdict)
    if is_set then ended[id] = verdict end
  end

  local function judge_probes()
    local good, bad = 0, 0
    for id, verdict in pairs(ended) do
      local is_probe = redis.call('SREM', probes, id) == 1 -- @bug:any-end-is-a-probe
      if is_probe and verdict == 1 then good = good + 1 end
      if is_probe and verdict == -1 then bad = bad + 1 end
    end
    local all = number('good') + good
    if bad > 0 then return trip(bad, all + bad) end -- @bug:probes-may-fail
    if all >= set.probes then return forget() end
    if good > 0 then redis.call('HSET', state, 'b_good', int(all)) end
    stored.good = all
  end

  local function count_ends()
    local ok, ko, ok0, ko0 = 0, 0, 0, 0
    for _, verdict in pairs(ended) do
      if verdict == 1 then ok = ok + 1 elseif verdict == -1 then ko = ko + 1 end
    end
    if ok + ko == 0 then return end
    local half = set.window / 2
    local began, last = now - now % half, number('half')
    if last == began then
      ok, ko, ok0, ko0 = ok + number('ok'), ko + number('ko'), number('ok0'), number('ko0')
    elseif last == began - half then
      ok0, ko0 = number('ok'), number('ko')
    end
    local all = ok + ko + ok0 + ko0
    local is_failing = all >= set.min and ko + ko0 >= set.ratio * all -- @bug:never-opens
    if is_failing then return trip(ko + ko0, all) end
    redis.call('HSET', state, 'b_half', int(began), 'b_ok', int(ok), 'b_ko', int(ko), 'b_ok0', int(ok0), 'b_ko0', int(ko0))
    stored.half, stored.ok, stored.ko, stored.ok0, stored.ko0 = began, ok, ko, ok0, ko0
  end

  -- Write what has ended.
  function self.store_ends()
    if next(ended) == nil then return end
    local known = phase()
    limits.begin()
    if known == 'half' then judge_probes() elseif not known then count_ends() end
    ended = {}
  end

  -- By hand. Return whether that changes it.
  function self.force_open(reason)
    if phase() == 'forced' then return false end
    forget()
    redis.call('HSET', state, 'b_state', 'forced', 'b_since', int(now), 'b_reason', reason)
    redis.call('HINCRBY', state, 'b_opened', 1)
    stored = {state = 'forced'}
    return true
  end
  function self.close()
    if not phase() then return false end
    forget()
    return true
  end

  -- A queue that has no breaker any more has no state of one.
  function self.look_again()
    if not is_set then forget() end
  end

  return self
end
