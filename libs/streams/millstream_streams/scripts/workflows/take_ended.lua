-- Note which workflows the history has, and take others under a lease that have ended and that it does not have yet.
--
-- Caller      dispatchers
-- Idempotent  yes: what was leased is returned again after the lease
-- Needs       numbers shards flows workflows
-- KEYS        3, 5 as in _flows.lua, written
-- ARGV[2]     how many at most
-- ARGV[3]     ms of the lease
-- ARGV[4..]   per workflow two values: id of one that is stored; its turn when it was read, empty of one that cannot be
-- Returns     {ms until the next may be taken, -1 when there is none; how many the history does not have; ids and places in
--             the index of those that are taken, in turn}

local now = now_ms()
local lease = int(now + tonumber(ARGV[3]))

-- The first write, see _queue.lua.
redis.call('ZREM', flow_ended, '')

-- One that was run again since it was read, and has ended again, is to be stored once more.
for at = 4, #ARGV, 2 do
  local id, turn = ARGV[at], ARGV[at + 1]
  local flow = open_flow(id)
  local is_stored = not flow or turn == '' or int(flow.turn) == turn -- @bug:an-older-end-will-do
  if is_stored or not ENDED[flow.state] then redis.call('ZREM', flow_ended, id) end
end

local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', flow_ended, '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  redis.call('ZADD', flow_ended, 'XX', lease, id)
  taken[#taken + 1], taken[#taken + 2] = id, redis.call('ZSCORE', flow_index, id) or '0'
end
return {until_first(flow_ended, now), redis.call('ZCARD', flow_ended), taken}
