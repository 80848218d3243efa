-- Look at the part that a queue has of the quota of its tenant, which says how many jobs run at once, and change it (ADR 130).
--
-- Caller      dispatchers and ingest; ingest, workers and dispatchers for a queue that they register
-- Idempotent  by turn: from then on what an earlier deal asks for changes nothing
-- Needs       numbers queue moves gate dealing
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     the turn of the deal
-- ARGV[3]     how many jobs at once the queue is to have; '' to leave it so, where one without a part begins with one of
--             nothing; `-` to have none, because its tenant has no quota
-- Returns     {1 when the part is as was asked, -1 when a later deal has been there; its jobs at once, -1 without a part;
--             Unix ms since when that is nothing, or is not; its jobs that run, or that a worker is about to be given; its jobs
--             that wait and could start with a larger part}
--
-- The part is the field `!quota`, see _gate.lua.

local turn, asked = tonumber(ARGV[2]), ARGV[3]
local part, since = string.match(setting('!quota') or '', '^(%d+) (%d+)$')

local function reply(code)
  local held, waiting = count_jobs()
  return {code, tonumber(part or -1), tonumber(since or 0), held, gate and gate.startable(waiting, held) or waiting}
end

if not note_turn('quota_dealt_at', turn) then return reply(-1) end

if asked == '-' then
  if not part then return reply(1) end
  -- The gate is left once nothing waits behind it.
  redis.call('HDEL', settings, '!quota')
  part, since = nil, nil
else
  local becomes = asked == '' and (part or '0') or asked
  if becomes == part then return reply(1) end
  local is_same = part and (part == '0') == (becomes == '0')
  part, since = becomes, is_same and since or int(now_ms())
  redis.call('HSET', settings, '!quota', part .. ' ' .. since)
end
local was_gated = gate ~= nil
-- Limits that this release cannot read stay.
if not setting('!flow') then redis.call('HSET', settings, '!flow', '\128') end
read_settings()
if gate then
  if not was_gated then gate.recount() end
  if part then gate.recall(tonumber(part)) end -- @bug:keeps-what-lies-ready
  settle()
end
return reply(1)
