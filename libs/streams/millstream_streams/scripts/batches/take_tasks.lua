-- Confirm what was done of the last round, and take under a lease what is to be done next: members of callbacks to be
-- submitted, jobs of members to be ended, and what has ended to be recorded.
--
-- Caller      dispatchers
-- Idempotent  as far as it confirms; a lease that nothing uses ends, and another dispatcher takes the entry
-- Needs       numbers shards flows batches
-- KEYS        1-2, 4 as in _flows.lua, written
-- ARGV[2]     how many at most
-- ARGV[3]     ms of the lease
-- ARGV[4..]   per entry of the outbox two values: it; what became of it: '' its job is stored, or its end recorded;
--             `refused <reason>` no job can be made of it; `asked <job ids, with commas> <those of them that are gone, with commas>`
-- Returns     {ms until the next may be taken, -1 when there is none; per entry eight values: it; name of the batch; its
--             traceparent; id of the job of a callback; its submission; the counts at its event; owner of the
--             batch; job ids that are to be ended, with commas}

local now = now_ms()
local lease, LATER_MS = int(now + tonumber(ARGV[3])), 60000
local ENDED_A_CALL = 100
local MAX_BYTES, bytes = 4 * 1024 * 1024, 0
local replies, leases = {}, {}

-- The first write, see _queue.lua.
redis.call('ZREM', flow_outbox, '')

local function confirm_asked(batch, asked, gone)
  local is_gone = {}
  for job in string.gmatch(gone, '[^,]+') do is_gone[job] = true end
  for job in string.gmatch(asked, '[^,]+') do
    local score = redis.call('ZSCORE', batch.members, job)
    local rank, value = rank_of(tonumber(score) or 0)
    if rank == OPEN then
      if is_gone[job] then put_member(batch, job, CANCELLED, UNIT) else put_member(batch, job, ASKED, value) end
    end
  end
  -- The next ones, by whichever dispatcher.
  put_out(now, 'x ' .. batch.id)
end

local function confirm(entry, outcome)
  local id, event = string.match(entry, '^%a (%S+) ?(%S*)$')
  local batch = open_batch(id)
  if not batch then return end
  local asked, gone = string.match(outcome, '^asked (%S*) (%S*)$')
  if asked then return confirm_asked(batch, asked, gone) end
  local letter, version = mark_of(batch, event)
  if letter ~= 'g' then return end
  local reason = string.match(outcome, '^refused (.*)$')
  put_mark(batch, event, reason and 'F' or 'r', version)
  if reason then redis.call('HSET', batch.key, 'why:' .. event, reason) end
end

local function give(entry, batch, event, members)
  local held = redis.call('HMGET', batch.key, 'name', 'options', 'job:' .. event, 'spec:' .. event, 'at:' .. event,
    'owner')
  leases[#leases + 1], leases[#leases + 2] = lease, entry
  local last = #replies
  replies[last + 1], replies[last + 2] = entry, held[1] or ''
  replies[last + 3] = string.match(held[2], '^%d+ ?(%S*)$') or ''
  replies[last + 4], replies[last + 5], replies[last + 6] = held[3] or '', held[4] or '', held[5] or ''
  replies[last + 7], replies[last + 8] = held[6] or '', members
  bytes = bytes + #(held[4] or '') + #members
end

local function take(entry)
  local kind, id, event = string.match(entry, '^(%a) (%S+) ?(%S*)$')
  local batch = id and open_batch(id)
  if not batch then return redis.call('ZREM', flow_outbox, entry) end
  if kind == 'x' then
    -- Those that are only promised follow once they are known to be there: see confirm.lua.
    local members = members_of(batch, OPEN, OPEN, ENDED_A_CALL)
    if #members == 0 then return redis.call('ZREM', flow_outbox, entry) end
    return give(entry, batch, '', table.concat(members, ','))
  end
  if kind == 'e' and ENDED[batch.state] then return give(entry, batch, '', '') end
  if mark_of(batch, event) ~= 'g' then return redis.call('ZREM', flow_outbox, entry) end
  give(entry, batch, event, '')
end

local confirmed = {}
for at = 4, #ARGV, 2 do confirmed[#confirmed + 1] = ARGV[at] end
if #confirmed > 0 then redis.call('ZREM', flow_outbox, unpack(confirmed)) end
for at = 4, #ARGV, 2 do pcall(confirm, ARGV[at], ARGV[at + 1]) end
close_batches(now)
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', flow_outbox, '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  if bytes > MAX_BYTES then break end
  -- pcall: what another program has written stops one batch, which is tried again later.
  if not pcall(take, entry) then redis.call('ZADD', flow_outbox, int(now + LATER_MS), entry) end
end
if #leases > 0 then redis.call('ZADD', flow_outbox, unpack(leases)) end
return {until_first(flow_outbox, now), replies}
