-- Look at the part that a partition has of the limits of its type, and change it (ADR 106).
--
-- Caller      dispatchers, ingest and workers
-- Idempotent  by turn: from then on what an earlier deal asks for changes nothing
-- Needs       numbers queue moves gate dealing
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     the turn of the deal
-- ARGV[3]     what its part is one of, as it is returned; '' to look only
-- ARGV[4]     how many jobs at once the partition is to have; '' to leave it so
-- ARGV[5]     how many starts at once; '' to leave it so
-- Returns     {1 when the part is as was asked, 0 when it is one of something else, -1 when a later deal has been there;
--             `<jobs at once> <ms from one start to the next> <starts at once>` of the type, with 0 for what is not
--             limited, or '' where nothing is split; its jobs at once; its starts at once; its jobs that run, or that a
--             worker is about to be given; its jobs that wait for a slot}

local turn, asked, slots_wanted, starts_wanted = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local function read_flow() return read_limits(redis.call('HGET', settings, '!flow') or '') end

local function whole_of(flow)
  if not flow or not (flow.tc or flow.tb) then return '' end
  return string.format('%d %.6f %d', flow.tc or 0, flow.tr or 0, flow.tb or 0)
end

-- No start is gained by another part: those that were free stay so, as far as they fit. So the starts that are free in
-- all partitions are never more than the type may have at once.
local function spread_starts(flow, at_once)
  local tat, now = tonumber(redis.call('HGET', gate.state, 'tat')) or 0, now_ms()
  local free = flow.rb > 0 and math.max(0, flow.rb - math.max(0, tat - now) / flow.r) or 0 -- @bug:starts-are-gained
  flow.r, flow.rb = at_once > 0 and flow.tr * flow.tb / at_once or flow.tr, at_once
  redis.call('HSET', gate.state, 'tat', string.format('%.3f', now + (at_once - math.min(free, at_once)) * flow.r))
end

local function reply(code)
  local flow, held, waiting = read_flow(), count_jobs()
  return {code, whole_of(flow), flow and flow.c or 0, flow and flow.rb or 0, held, waiting}
end

if not note_turn('dealt_at', turn) then return reply(-1) end
if asked == '' then return reply(1) end
local flow = read_flow()
if whole_of(flow) ~= asked then return reply(0) end
if slots_wanted and flow.tc then flow.c = slots_wanted end
if starts_wanted and flow.tb then spread_starts(flow, starts_wanted) end
redis.call('HSET', settings, '!flow', cmsgpack.pack(flow))
read_settings()
settle()
return reply(1)
