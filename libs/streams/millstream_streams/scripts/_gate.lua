-- Part `gate`: queues with limits. Needs `numbers`, `queue` and `moves`.
--
-- A queue with a limit is gated. Its waiting jobs stand in lanes, one for each key and priority, and a job gets an entry
-- in a ready stream only when it may run: an entry is a slot. So a slot has the lease of its delivery, whatever drops an
-- entry frees it, and the concurrency of the queue is the length of its streams (ADR 94).
-- Each script that moves a job ends with `settle()`: where nothing lies ready and something may run, one job is let
-- in. It wakes one worker; the claim of that draws as many as the worker has room for, and lets the next one in.
--
-- Keys besides those of _queue.lua, all of them only in gated queues:
--   settings     field `!flow`, MessagePack: `c` jobs at once; `kc` of one key; `r` ms from one start to the next, and `rb`
--                starts at once; `kr` and `krb` the same of one key; `w` weights of keys that have another than 1; `tc`,
--                `tr` and `tb` what `c`, `r` and `rb` of a partition are parts of (ADR 106). The `!` closes the queue to
--                workers of a release that does not know it; `cap` jobs that it takes, `kcap` of one key.
--                field `!quota`, `<jobs at once> <Unix ms since when that is 0, or is not>`: its part of the quota of its tenant, absent
--                where that has none. With it there is a `!flow`, if only an empty one (ADR 130)
--   backlog:<priority index>:<key>  list: the lane. A job there that is not queued, that has an `entry` or that has another
--                priority has left it: a tombstone
--   singles:<priority index>  list: `<id> <key>` of jobs that would be alone in their lanes; see _lanes.lua
--   ring:<priority index>  zset by virtual time: the lanes that hold jobs and may be drawn from, in the order of their turns
--   slots        hash: key to its entries in the streams; it is absent where there are none
--   rates        zset: key to the Unix ms up to which its rate is spent (GCRA)
--   waiting      zset: keys whose rate is spent or that are held back (_holding.lua), by the Unix ms when they are free again
--   flow         hash: parked1..3, how many jobs wait in lanes, by priority; `tat`, as in `rates`, of the queue; of one
--                with a cap `minute`, how many have `begun` in that minute, and `begun_before` in the one before it; `b_...`,
--                see _breaker.lua, as `probes` and the limit `b`
-- `~flow` in `due` has the dispatcher look when a rate is free again, or a breaker lets probes in. No job id begins with `~`.
--
-- A job has its key in the field `lane`, percent-encoded, and its entry in the field `k`. Jobs without one share a lane, for
-- which no limit of keys holds.

-- What is set of the queue, names and values in turn.
local set
local function setting(name)
  for at = 1, #set, 2 do
    if set[at] == name then return set[at + 1] end
  end
  return nil
end

-- Whether the tenant of the queue may not start jobs: then none starts, whatever else is set.
local function is_suspended() return setting('!suspended') ~= nil end

local function open_gate(flow, is_paused)
  -- Holds limits lanes holds slots rates breaker turns
  local limits = open_limits(flow)
  local lanes = open_lanes(limits)
  local holds = open_holds(limits, lanes)
  local slots, rates, breaker = open_slots(limits, lanes), open_rates(limits, lanes), open_breaker(limits)
  local turns = open_turns(limits, lanes, holds, slots, rates)
  local self = {park = lanes.park, recount = slots.recount, note_end = breaker.note_end,
    force_open = breaker.force_open, close = breaker.close, has_breaker = breaker.is_set, parked = lanes.parked,
    state = limits.state, has_quota = limits.quota ~= nil}
  local is_limited = next(flow) ~= nil or limits.quota ~= nil

  -- Whether a job of a key may start that was let in before: when it was, its breaker may have been closed.
  function self.admits(id, key) return holds.admits(key) and breaker.admits(id) end

  -- Take a job as it is that was ready before the queue had a gate. Returns whether it may start: where anything is limited
  -- it waits in its lane.
  function self.adopt(id)
    if is_limited then return false end
    local key = redis.call('HGET', jobs .. id, 'lane') or ''
    if not holds.admits(key) then return false end
    slots.hold(key)
    return true
  end

  -- Hold back the queue, or keys, up to these Unix ms; nil leaves it as it is.
  function self.hold(held_until, keys_held_until)
    limits.held_until = held_until or limits.held_until
    limits.keys_held_until = keys_held_until or limits.keys_held_until
  end

  -- The entry of a job is dropped: its slot is free. Without an id the job has another entry.
  function self.free(key, id)
    slots.free(key)
    if id then breaker.leave(id) end
  end

  -- Take a queued job from where it waits.
  function self.withdraw(id, entry, index, key)
    if not entry then return lanes.leave(id, key, index) end
    local found = redis.call('XRANGE', ready[index], entry, entry)
    if found[1] then self.free(found[1][2][4], id) end
    drop_entry(ready[index], entry)
  end

  -- How many of `wanted` jobs the limits of the queue let in.
  local function room(wanted) return rates.room(slots.room(breaker.room(holds.room(wanted)))) end

  local function noting_start(admit)
    if not breaker.is_set then return admit end
    return function(index, id, key)
      local is_in = admit(index, id, key)
      if is_in then breaker.start(id) end
      return is_in
    end
  end

  -- Count starts, from which a submitter that is refused learns when to come back.
  local function note_starts(count)
    if not (flow.cap or flow.kcap) or count == 0 then return end
    local minute = math.floor(limits.now / 60000)
    local known, begun, earlier = unpack(redis.call('HMGET', limits.state, 'minute', 'begun', 'begun_before'))
    known = tonumber(known)
    if known ~= minute then
      begun, earlier = 0, known == minute - 1 and begun or 0
    end
    redis.call('HSET', limits.state, 'minute', minute, 'begun', (tonumber(begun) or 0) + count, 'begun_before', earlier or 0)
  end

  -- The ms in which so many jobs will start at the pace of the last minute.
  local function ms_for(amount)
    local known, begun, earlier = unpack(redis.call('HMGET', limits.state, 'minute', 'begun', 'begun_before'))
    local minute = limits.now / 60000
    local age = math.floor(minute) - (tonumber(known) or 0)
    begun, earlier = tonumber(begun) or 0, tonumber(earlier) or 0
    if age == 1 then begun, earlier = 0, begun end
    if age > 1 then begun, earlier = 0, 0 end
    local in_a_minute = begun + earlier * (1 - minute % 1)
    return in_a_minute > 0 and math.min(60000, math.ceil(60000 * amount / in_a_minute)) or 60000
  end

  -- How many more jobs the queue takes, and the ms in which as many as are above its cap, with one more, will start.
  function self.cap_room()
    if not flow.cap then return math.huge, 0 end
    local jobs_now = lanes.all_parked() + redis.call('ZCARD', due)
    if redis.call('ZSCORE', due, MARK) then jobs_now = jobs_now - 1 end
    for index = 1, 3 do jobs_now = jobs_now + redis.call('XLEN', ready[index]) end
    return flow.cap - jobs_now, ms_for(math.max(1, jobs_now - flow.cap + 1))
  end

  -- The same of a key, which has its turn among others. What is scheduled is not known by key.
  function self.key_room(key)
    if not flow.kcap or key == '' then return math.huge, 0 end
    local jobs_now, turns_now = tonumber(redis.call('HGET', limits.slots, key)) or 0, 0
    for index = 1, 3 do
      jobs_now = jobs_now + redis.call('LLEN', lanes.lane_of(index, key))
      turns_now = turns_now + redis.call('ZCARD', lanes.ring_of(index))
    end
    return flow.kcap - jobs_now, ms_for(math.max(1, jobs_now - flow.kcap + 1) * math.max(1, turns_now))
  end

  local function prepare()
    lanes.push()
    slots.store_freed()
    rates.wake_keys()
    holds.remind()
    breaker.store_ends()
    lanes.join_rings()
  end

  -- For a claim: up to `limit`, by shares first, then in the order of priorities. Returns how many of each priority.
  function self.draw(limit, shares, admit)
    prepare()
    local drawn = {0, 0, 0}
    if is_paused or lanes.all_parked() == 0 then return drawn end
    local left = room(limit)
    admit = noting_start(admit)
    for index = 1, 3 do
      drawn[index] = turns.draw(index, math.min(shares[index], left), admit)
      left = left - drawn[index]
    end
    for index = 1, 3 do
      local more = turns.draw(index, left, admit)
      drawn[index], left = drawn[index] + more, left - more
    end
    note_starts(drawn[1] + drawn[2] + drawn[3])
    return drawn
  end

  -- A claim does not look at a job before it has it, and this one was a tombstone.
  function self.misfire(id, key, index)
    slots.free(key)
    breaker.withdraw(id)
    lanes.change_parked(index, 1)
    rates.refund(key)
  end

  local function let_in(index, id, key)
    local found, entry, priority = unpack(redis.call('HMGET', jobs .. id, 'state', 'entry', 'priority'))
    if found ~= 'queued' or entry or stream_index(priority) ~= index then return false end
    entry = redis.call('XADD', ready[index], '*', 'id', id, 'k', key)
    redis.call('HSET', jobs .. id, 'entry', entry)
    breaker.start(id)
    return true
  end

  -- How many jobs could start, of those that wait, if the quota of the tenant let them: what is paused or held back could not,
  -- nor what the limits of the queue keep out. `held` is how many have slots.
  function self.startable(waiting, held)
    if is_paused or rates.room(breaker.room(holds.room(1))) < 1 then return 0 end
    return math.max(0, math.min(waiting, (flow.c or math.huge) - held))
  end

  -- The first entries of a stream that no worker has read, `most` of them.
  function self.unread(index, most)
    local last = '-'
    -- pcall: before the first claim there is no group.
    local groups = redis.pcall('XINFO', 'GROUPS', ready[index])
    for _, group in ipairs(groups.err and {} or groups) do
      local fields = {}
      for at = 1, #group, 2 do fields[group[at]] = group[at + 1] end
      if fields['name'] == GROUP then last = '(' .. fields['last-delivered-id'] end
    end
    return redis.call('XRANGE', ready[index], last, '+', 'COUNT', most)
  end

  -- Take back what was let in beyond so many slots, and what no worker has read: it waits before all others again. A queue that no
  -- worker looks at would keep a slot for ever.
  function self.recall(most)
    local held = redis.call('XLEN', ready[1]) + redis.call('XLEN', ready[2]) + redis.call('XLEN', ready[3])
    for index = 3, 1, -1 do
      for _, found in ipairs(held > most and self.unread(index, 100) or {}) do
        local entry, id, key = found[1], found[2][2], found[2][4]
        if held <= most or not key then break end
        held = held - 1
        local state, named = unpack(redis.call('HMGET', jobs .. id, 'state', 'entry'))
        drop_entry(ready[index], entry)
        slots.free(key)
        if state == 'queued' and named == entry then
          redis.call('HDEL', jobs .. id, 'entry')
          breaker.withdraw(id)
          rates.refund(key)
          lanes.park(id, key, index, true)
        end
      end
    end
  end

  local function undelivered()
    local count = 0
    for index = 1, 3 do
      local length = redis.call('XLEN', ready[index])
      -- pcall: before the first claim there is no group.
      local pending = length > 0 and redis.pcall('XPENDING', ready[index], GROUP) or {err = 'empty'}
      count = count + length - (pending.err and 0 or pending[1])
    end
    return count
  end

  -- Without limits the gate is left as soon as nothing waits behind it. An entry that no worker has read would be taken
  -- for one with a slot when the queue has limits again.
  local function leave()
    local is_used = is_limited or lanes.all_parked() > 0 or holds.need_gate() -- @bug:leaves-a-hold
    if is_used or undelivered() > 0 then return end
    limits.begin()
    redis.call('HDEL', settings, '!flow', 'keys_held_until')
    for _, key in ipairs({limits.slots, limits.rates, limits.waiting, limits.state}) do redis.call('PEXPIRE', key, '-1') end
  end

  -- Write what this call has changed, and let one job in where none lies ready and one may run.
  function self.settle()
    prepare()
    local may = not is_paused and lanes.all_parked() > 0 and undelivered() == 0 and room(1) > 0 -- @bug:no-bell
    for index = 1, may and 3 or 0 do
      if turns.draw(index, 1, let_in) > 0 then
        note_starts(1)
        break
      end
    end
    lanes.store_parked()
    leave()
  end

  -- Have each key look again that other limits kept out.
  function self.look_again()
    breaker.look_again()
    for _, key in ipairs(redis.call('HKEYS', limits.slots)) do lanes.rejoin(key) end
    for _, key in ipairs(redis.call('ZRANGE', limits.waiting, 0, -1)) do lanes.rejoin(key) end
    redis.call('PEXPIRE', limits.waiting, '-1')
  end

  return self
end

-- Read what is set of the queue, and open the gate that this asks for; none where it has no limits, or none that this
-- release can read.
local function read_settings()
  -- pcall: a key that something else has written must not stop the scripts that never needed it.
  set = redis.pcall('HGETALL', settings)
  local packed = setting('!flow')
  local flow = packed and read_limits(packed)
  gate = flow and open_gate(flow, setting('paused') == '1' or is_suspended())
end

read_settings()

-- The end of each script that has moved a job.
local function settle()
  if gate then gate.settle() end
end
