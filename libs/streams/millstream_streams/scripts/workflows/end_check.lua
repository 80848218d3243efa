-- Note that a workflow was looked at, and start nodes again whose jobs Redis has lost.
--
-- Caller      dispatchers
-- Idempotent  yes
-- Needs       numbers shards flows workflows
-- KEYS        1-2, 4-5 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     the shortest time in ms until the next look; after a while it is half of the time without a change
-- ARGV[4]     the longest such time in ms
-- ARGV[5..]   per node two values: node, `<node>.<item>` of one with `map`; run
-- Returns     how many are started again

local now = now_ms()
local id, shortest, longest = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local restarted = 0

-- The first write, for a full Redis.
redis.call('ZREM', flow_checks, '')

-- Items are started again from the first that is lost; those of which the workflow knows are passed over.
local function restart_item(flow, node, item, run)
  local letter, version, held_run = node_of(live_of(flow, node))
  if letter ~= 'r' and letter ~= 'g' or held_run ~= run then return end
  local key = items_key(flow, node)
  local upto = tonumber(redis.call('HGET', key, 'next')) or 0
  redis.call('HDEL', key, item)
  redis.call('HSET', key, 'next', int(math.min(upto, tonumber(item))))
  if letter == 'r' then move(flow, node, letter, 'g', version, run, now) end
  put_out(now, 's ' .. id .. ' ' .. node .. ' ' .. run)
  restarted = restarted + 1
end

local function restart(flow, node, run)
  local of_map, item = string.match(node, '^(%d+)%.(%d+)$')
  if item then return restart_item(flow, of_map, item, run) end
  local letter, _, held_run = node_of(live_of(flow, node))
  if letter ~= 'r' or held_run ~= run then return end
  -- The versions of its job begin anew.
  move(flow, node, letter, 'g', 0, run, now) -- @bug:versions-of-another-life
  put_out(now, 's ' .. id .. ' ' .. node .. ' ' .. run)
  restarted = restarted + 1
end

local flow = open_flow(id)
if flow and not ENDED[flow.state] then
  for at = 5, #ARGV, 2 do pcall(restart, flow, ARGV[at], ARGV[at + 1]) end
  close_flows(now)
  redis.call('ZADD', flow_checks, 'XX', int(next_look(flow.turn, shortest, longest, now)), id)
end
return restarted
