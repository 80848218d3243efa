-- Cancel a workflow: nodes that wait are cancelled, and the jobs of others are asked to stop.
--
-- Caller      ingest
-- Idempotent  yes
-- Needs       numbers shards flows workflows
-- KEYS        1-2, 4-5 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     reason
-- Returns     2 asked for; 0 it was asked for before; -1 it has ended; -2 there is no such workflow

-- The first write: operators cancel when Redis is full.
redis.call('ZREM', flow_outbox, '')
local now = now_ms()
local flow = open_flow(ARGV[2])
if not flow then return -2 end
if ENDED[flow.state] then return -1 end
if flow.cancel then return 0 end
begin_cancel(flow, 'cancelled', ARGV[3], now)
close_flows(now)
return 2
