-- Confirm what was done of the last round, and take further nodes under a lease: to start their jobs, or to see that
-- none runs. Walks that broke off go on in between.
--
-- Caller      dispatchers
-- Idempotent  as far as it confirms; a lease that nothing uses ends, and another dispatcher takes the node
-- Needs       numbers shards flows workflows
-- KEYS        1-2, 4-5 as in _flows.lua, written
-- ARGV[2]     how many at most
-- ARGV[3]     ms of the lease
-- ARGV[4..]   per entry of the outbox two values: it; what became of it: '' its job is stored, or was asked to stop;
--             `gone` there is no job and never will be; `refused <reason>` no job can be made of it;
--             `items <from> <total> <next> <most>` the items from `from` to before `next` are started, of which `most`
--             may fail;
--             `placed <partition>` its job will lie there; `placed <item> <partitions, with commas>` so will those of items
--             from there on, and it is taken again;
--             `undone <total> <most> <items, with commas>` of all items there are no jobs of these, and never will be
-- Returns     {Unix ms of this call; ms until the next may be taken, -1 when there is none; ids of workflows that have
--             ended by this; per node eight values: its entry; what it is; its blueprint; traceparent of the workflow;
--             places and results (MessagePack) that it refers to, in turn; for one with `map` the item that is started
--             next, and the letters of a hundred items from there, `-` for one of which nothing is known; for one that is
--             placed late the partition of its job, or those of these items, `-` for one that is not decided on; owner
--             of the workflow}
--
-- A start is refused by the queue of the job before its lease is over, so what is taken then as `x` and is not there
-- never will be.

local now = now_ms()
local lease, LATER_MS = int(now + tonumber(ARGV[3])), 60000
local MAX_BYTES = 4 * 1024 * 1024
local SWEPT_A_CALL = 1000
local replies, leases, bytes = {}, {}, 0

-- The first write, see _queue.lua.
redis.call('ZREM', flow_outbox, '')

-- Items of a node with `map` are started: what is left of them at once, by whichever dispatcher.
local function confirm_items(flow, entry, node, total, upto, most)
  redis.call('HSET', items_key(flow, node), 'total', total, 'next', upto, 'most', most)
  if tonumber(upto) < tonumber(total) then put_out(now, entry) end
  settle_items(flow, node, now)
  if flow.cancel then put_out(now, 'x' .. string.sub(entry, 2)) end
end

local function confirm_undone(flow, node, total, most, absent)
  redis.call('HSET', items_key(flow, node), 'total', total, 'next', total, 'most', most)
  for item in string.gmatch(absent, '%d+') do note_item(flow, node, item, 'X', 0) end
  settle_items(flow, node, now)
end

local function confirm_started(flow, entry, old, version, node, run)
  if old ~= 'g' then return end
  move(flow, node, old, 'r', version, run, now)
  -- It was cancelled while its job was being stored.
  if flow.cancel and string.sub(entry, 1, 1) == 's' then put_out(now, 'x' .. string.sub(entry, 2)) end
end

-- The first decision holds: its job may be stored there already.
local function confirm_placed(flow, entry, node, run, item, partitions)
  local at = tonumber(item)
  for partition in string.gmatch(partitions, '%d+') do
    if at then
      redis.call('HSETNX', items_key(flow, node), 'p' .. int(at), partition)
      at = at + 1
    else
      set_live(flow, 'p' .. node, run .. ' ' .. partition)
    end
  end
  -- At once: it is taken by this call.
  redis.call('ZADD', flow_outbox, int(now), entry)
end

local function confirm(entry, outcome)
  local id, node, run = string.match(entry, '^%a (%S+) (%S+) (%S+)$')
  local flow = open_flow(id)
  if not flow then return end
  local old, version, held_run = node_of(live_of(flow, node))
  if held_run ~= run or old ~= 'g' and old ~= 'r' then return end
  if outcome == '' then return confirm_started(flow, entry, old, version, node, run) end
  if outcome == 'gone' then
    drop(flow, node, old, version, run, 'workflow_cancelled', now)
    return walk(flow, node, now, 3)
  end
  local item, partitions = string.match(outcome, '^placed (%d*) ?([%d,]+)$')
  if item then return confirm_placed(flow, entry, node, run, item, partitions) end
  local total, upto, most = string.match(outcome, '^items %d+ (%d+) (%d+) (%d+)$')
  if total then return confirm_items(flow, entry, node, total, upto, most) end
  local all, allowed, absent = string.match(outcome, '^undone (%d+) (%d+) ([%d,]*)$')
  if all then return confirm_undone(flow, node, all, allowed, absent) end
  local reason = string.match(outcome, '^refused (.*)$')
  if reason then
    move(flow, node, old, 'D', version, run, now)
    set_live(flow, 'x' .. node, reason)
    walk(flow, node, now, 3)
    return judge(flow, node, 'D', now)
  end
end

-- Whether this was confirmed before, by another dispatcher: the entry may be under the lease of a third.
local function is_late(entry, outcome)
  if outcome == '' then return false end
  local id, node, run = string.match(entry, '^%a (%S+) (%S+) (%S+)$')
  local items = items_key({key = flows .. id}, node)
  local from = string.match(outcome, '^items (%d+) ')
  if from then return (redis.call('HGET', items, 'next') or '0') ~= from end -- @bug:late-items-count
  local item = string.match(outcome, '^placed (%d+) ')
  if item then return redis.call('HEXISTS', items, 'p' .. item) == 1 end
  if not string.match(outcome, '^placed ') then return false end
  return string.match(redis.call('HGET', flows .. id .. ':live', 'p' .. node) or '', '^%d+') == run -- @bug:placed-twice
end

-- Cancel the nodes that wait, and ask for the end of the jobs of others.
local function sweep(flow)
  local from = tonumber(redis.call('HGET', flow.key, 'swept')) or 0
  local size, nodes = 0, {}
  for _, letter in ipairs(ORDER) do size = size + flow.counts[letter] end
  local last = math.min(size, from + SWEPT_A_CALL) - 1
  for place = from, last do nodes[#nodes + 1] = int(place) end
  for at, text in ipairs(#nodes > 0 and redis.call('HMGET', flow.live, unpack(nodes)) or {}) do
    local node, letter, version, run = nodes[at], node_of(flow.fields[nodes[at]] or text)
    if letter == 'w' then move(flow, node, letter, 'X', version, run, now) end
    if letter == 'r' then put_out(now, 'x ' .. flow.id .. ' ' .. node .. ' ' .. run) end
  end
  if last + 1 < size then return redis.call('HSET', flow.key, 'swept', int(last + 1)) end
  redis.call('HDEL', flow.key, 'swept')
  redis.call('ZREM', flow_outbox, 'q ' .. flow.id)
end

local NO_RESULTS = {}
local function results_for(flow, referred)
  local places, found = {}, {}
  for place in string.gmatch(referred, '%d+') do places[#places + 1] = place end
  for at, result in ipairs(redis.call('HMGET', flow.key .. ':results', unpack(places))) do
    if result then
      found[#found + 1], found[#found + 2] = places[at], result
      bytes = bytes + #result
    end
  end
  return found
end

local function items_of(flow, node)
  local key, names, letters = items_key(flow, node), {}, {}
  local from = tonumber(redis.call('HGET', key, 'next')) or 0
  for item = from, from + 99 do names[#names + 1] = int(item) end
  for at, text in ipairs(redis.call('HMGET', key, unpack(names))) do letters[at] = string.sub(text or '-', 1, 1) end
  return int(from) .. ' ' .. table.concat(letters), names
end

-- Where the job of a node that is placed late lies, or those of these items.
local function placed_of(flow, node, run, items)
  if #items == 0 then
    local held_run, partition = string.match(live_of(flow, 'p' .. node) or '', '^(%d+) (%d+)$')
    return held_run == run and partition or '-'
  end
  local names, found = {}, {}
  for at, item in ipairs(items) do names[at] = 'p' .. item end
  for at, partition in ipairs(redis.call('HMGET', items_key(flow, node), unpack(names))) do found[at] = partition or '-' end
  return table.concat(found, ' ')
end

local function trace_of(flow)
  flow.trace = flow.trace or select(3, options_of(flow)) or ''
  return flow.trace
end

local function give(entry, flow, node, run)
  local what, spec = unpack(redis.call('HMGET', flow.key .. ':nodes', node, 's' .. node))
  local late, map, referred = string.match(what, '^(p?)(m?)([%d,]*)\n')
  local is_map = map == 'm'
  local results = NO_RESULTS
  if referred ~= '' and (is_map or not flow.cancel) then results = results_for(flow, referred) end
  local items, names = '', {}
  if is_map then items, names = items_of(flow, node) end
  leases[#leases + 1], leases[#leases + 2] = lease, entry
  local last = #replies
  replies[last + 1], replies[last + 2], replies[last + 3] = entry, what, spec
  replies[last + 4], replies[last + 5], replies[last + 6] = trace_of(flow), results, items
  replies[last + 7] = late == 'p' and placed_of(flow, node, run, names) or ''
  replies[last + 8] = flow.owner
end

local function take(entry)
  local kind, id, node, run = string.match(entry, '^(%a) (%S+) ?(%S*) ?(%S*)$')
  local flow = id and open_flow(id)
  if not flow then return redis.call('ZREM', flow_outbox, entry) end
  if kind == 'q' then return sweep(flow) end
  if kind == 'w' then
    redis.call('ZREM', flow_outbox, entry)
    flow.is_changed, flow.is_walking = true, false
    return walk(flow, node, now, tonumber(live_of(flow, 'c' .. node)) or 3)
  end
  local letter, _, held_run = node_of(live_of(flow, node))
  if held_run ~= run or letter ~= 'g' and letter ~= 'r' then return redis.call('ZREM', flow_outbox, entry) end
  if kind == 's' and flow.cancel then
    -- Its lease is over, or there was none.
    redis.call('ZREM', flow_outbox, entry)
    entry = 'x' .. string.sub(entry, 2)
  end
  give(entry, flow, node, run)
end

local confirmed, outcomes = {}, {}
for at = 4, #ARGV, 2 do
  local is_read, late = pcall(is_late, ARGV[at], ARGV[at + 1])
  if not (is_read and late) then
    confirmed[#confirmed + 1], outcomes[#outcomes + 1] = ARGV[at], ARGV[at + 1]
  end
end
if #confirmed > 0 then redis.call('ZREM', flow_outbox, unpack(confirmed)) end
for at, entry in ipairs(confirmed) do pcall(confirm, entry, outcomes[at]) end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', flow_outbox, '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  if bytes > MAX_BYTES then break end
  -- pcall: what another program has written stops one workflow, which is tried again later.
  if not pcall(take, entry) then redis.call('ZADD', flow_outbox, int(now + LATER_MS), entry) end
end
if #leases > 0 then redis.call('ZADD', flow_outbox, unpack(leases)) end
close_flows(now)
return {int(now), until_first(flow_outbox, now), flows_ended, replies}
