-- Store a new workflow, some nodes a call: it is a draft until all are there, and then it runs.
--
-- Caller      ingest
-- Idempotent  by id; also when the workflow was forgotten, while its fingerprint is kept
-- Needs       numbers shards flows workflows
-- KEYS        1-5 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     fingerprint of the request; empty without an idempotency key
-- ARGV[4]     ms for which the fingerprint is kept
-- ARGV[5]     how many nodes it has
-- ARGV[6]     the place of the first node of this call
-- ARGV[7]     fields and values of its hash (MessagePack array of strings)
-- ARGV[8]     the graph of what stands before the first nodes, as in _workflows.lua
-- ARGV[9..]   per node four values: what it is, for lists and starts; its blueprint; its graph; how many it waits for
-- Returns     1 it runs; 2 it ran before, by this request; 0 it is a draft; -1 its id is that of another request; -2 the
--             draft was dropped, because its calls took too long
--
-- Its first write needs memory: a full Redis takes no new workflows.

local now = now_ms()
local id, fingerprint, size, first = ARGV[2], ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local key, live = flows .. id, flows .. id .. ':live'
local DRAFT_MS = 60000

local held = redis.call('HMGET', key, 'state', 'fingerprint')
local seen = held[2] or fingerprint ~= '' and redis.call('GET', remembered_key(id))
if seen and seen ~= fingerprint then return -1 end
if seen and held[1] ~= 'draft' then return 2 end -- @bug:created-twice

local nodes, graph, open = {}, {}, {}
local place = first
for at = 9, #ARGV, 4 do
  local node = int(place)
  local last = #nodes
  nodes[last + 1], nodes[last + 2], nodes[last + 3], nodes[last + 4] = node, ARGV[at], 's' .. node, ARGV[at + 1]
  graph[#graph + 1], graph[#graph + 2] = node, ARGV[at + 2]
  if tonumber(ARGV[at + 3]) > 1 then
    open[#open + 1], open[#open + 2] = 'n' .. node, ARGV[at + 3]
  end
  place = place + 1
end
redis.call('HSET', key .. ':nodes', unpack(nodes))
redis.call('HSET', key .. ':graph', ROOT, ARGV[8], unpack(graph))
if #open > 0 then redis.call('HSET', live, unpack(open)) end
if place < size then
  redis.call('HSET', key, 'state', 'draft', 'fingerprint', fingerprint)
  redis.call('ZADD', flow_checks, int(now + DRAFT_MS), id)
  return 0
end
-- Two fields a node.
if first > 0 and redis.call('HLEN', key .. ':nodes') < 2 * size then return -2 end

redis.call('HSET', key, 'state', 'running', 'counts', int(size) .. ' 0 0 0 0 0 0 0 0', 'run', '1', 'created_at', int(now),
  'fingerprint', fingerprint, unpack(cmsgpack.unpack(ARGV[7])))
add_to_shard(id, 'running', now)
if fingerprint ~= '' then redis.call('SET', remembered_key(id), fingerprint, 'PX', ARGV[4]) end
walk(open_flow(id), ROOT, now, 3)
close_flows(now)
return 1
