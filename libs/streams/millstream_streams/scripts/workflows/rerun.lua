-- Run nodes of a workflow again, as was decided on what it was like.
--
-- Caller      ingest
-- Idempotent  by turn, and by request
-- Needs       numbers shards flows workflows
-- KEYS        1-2, 4-5 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     digest of the request
-- ARGV[4]     the turn that was read
-- ARGV[5]     counts of nodes
-- ARGV[6]     how many nodes have failed that count
-- ARGV[7]     the bits of its edges
-- ARGV[8]     fields and values of its live nodes (MessagePack array of strings)
-- ARGV[9]     nodes whose results and items are forgotten (MessagePack array of strings)
-- ARGV[10]    the run that begins
-- ARGV[11..]  per node two values: a node that is ready; the run that begins
-- Returns     1 done; 2 this request was carried out before; 0 the workflow has changed since; -2 there is none

local now = now_ms()
local id, request, turn, run = ARGV[2], ARGV[3], ARGV[4], ARGV[10]
local flow = open_flow(id)
if not flow then return -2 end
if redis.call('HGET', flow.key, 'request') == request then return 2 end
if int(flow.turn) ~= turn then return 0 end -- @bug:rerun-of-another-turn

redis.call('HSET', flow.key, 'request', request, 'run', run)
redis.call('HDEL', flow.key, 'cancel', 'reason', 'swept')
redis.call('ZREM', flow_outbox, 'q ' .. id)
redis.call('SET', flow.key .. ':edges', ARGV[7])
local fields = cmsgpack.unpack(ARGV[8])
for at = 1, #fields, 1000 do redis.call('HSET', flow.live, unpack(fields, at, math.min(#fields, at + 999))) end
for _, node in ipairs(cmsgpack.unpack(ARGV[9])) do
  local result = redis.call('HGET', flow.key .. ':results', node)
  if result then flow.kept = math.max(0, flow.kept - #result) end
  redis.call('HDEL', flow.key .. ':results', node)
  redis.call('HDEL', flow.live, 'x' .. node, 'c' .. node)
  redis.call('PEXPIRE', items_key(flow, node), '-1')
  redis.call('PEXPIRE', flow.key .. ':parts:' .. node, '-1')
end
local counts = flow.counts
counts.w, counts.g, counts.r, counts.S, counts.D, counts.X, counts.E =
  string.match(ARGV[5], '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
flow.bad, flow.cancel, flow.is_changed = tonumber(ARGV[6]), nil, true
for at = 11, #ARGV, 2 do
  set_live(flow, 't' .. ARGV[at], int(now))
  put_out(now, 's ' .. id .. ' ' .. ARGV[at] .. ' ' .. ARGV[at + 1])
end
close_flows(now)
return 1
