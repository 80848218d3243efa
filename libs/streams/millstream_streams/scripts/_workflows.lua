-- Part `workflows`: workflows of one shard, and the walk from a node to those behind it. Needs `numbers`, `shards` and
-- `flows`.
--
-- Entries of the outbox: `s <id> <node> <run>` start a job, `x <id> <node> <run>` see that none runs, `w <id> <node>` go
-- on with a walk, `q <id>` cancel the nodes that wait.
--
-- Keys of a workflow, behind the prefix: `<id>` a hash, its state and `counts`, how many nodes are in each, how many have
-- failed that count and the bytes of results; `turn`, which grows with each change and is not before 1,000 times its Unix
-- ms; `options`. `<id>:nodes`, what each node is, with `s<node>`, its blueprint; `<id>:graph`, by node {number of its first edge, letters, the nodes behind it}; `<id>:live`, by node
-- `<letter> <version> <run>`, nothing while it waits in the first run, `n<node>` edges still open of one with several,
-- `c<node>` where its walk goes on, `p<node>` `<run> <partition>` of the job of one that is placed late, `x<node>` why it failed, `t<node>` the Unix ms at which it began and, once it has, ended; `<id>:edges` a bit for each edge that is done;
-- `<id>:results` what others refer to. Of a node with `map`, `<id>:items:<node>`: `total` and `next`, the item that is
-- started next, how many have ended by letter, by item `<letter> <version>` once it has, and `p<item>` its partition where it is placed late; `<id>:parts:<node>` their
-- results until all have ended.
--
-- Each edge has a mark of its own, and a node's news have a version: to tell or to walk twice changes nothing.

local flow_ended = KEYS[5]

-- Node letters: w waiting, g starting, r started, S succeeded, D dead, X cancelled, E expired.
local ORDER = {'w', 'g', 'r', 'S', 'D', 'X', 'E'}
local FAILED = {D = true, X = true, E = true}
local PARENT = {D = 'parent_dead', X = 'parent_cancelled', E = 'parent_expired'}
local ROOT = '-1' -- before all nodes that wait for none
local EDGES_A_CALL = 1000
local MAX_RESULTS_BYTES = 16 * 1024 * 1024

local budget = EDGES_A_CALL
local opened = {}

-- The workflow as it is in this call; nil when it is not there or is a draft, or another program wrote it.
local function open_flow(id)
  if opened[id] then return opened[id] end
  local held = redis.pcall('HMGET', flows .. id, 'state', 'counts', 'turn', 'cancel', 'options', 'owner')
  if held.err or not held[1] or held[1] == 'draft' or not held[2] then return nil end
  local key = flows .. id
  local flow = {id = id, key = key, live = key .. ':live', edges = key .. ':edges', state = held[1], counts = {},
    turn = tonumber(held[3]) or 0, cancel = held[4] or nil, options = held[5] or '', graph = {},
    fields = {}, writes = {}, owner = held[6] or ''}
  local counts = flow.counts
  counts.w, counts.g, counts.r, counts.S, counts.D, counts.X, counts.E, flow.bad, flow.kept =
    string.match(held[2], '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  opened[id] = flow
  return flow
end

-- The retention in ms, on_failure and the traceparent of a workflow.
local function options_of(flow) return string.match(flow.options, '^(%d+) (%S+) ?(%S*)$') end

local function node_of(text)
  local letter, version, run = string.match(text or '', '^(%a) (%d+) (%d+)$')
  return letter or 'w', tonumber(version) or 0, run or '1'
end

-- A field of `live`, which is read once a call; false for none. What has changed of them is written at its end.
local function live_of(flow, name)
  local text = flow.fields[name]
  if text == nil then
    text = redis.call('HGET', flow.live, name)
    flow.fields[name] = text
  end
  return text
end

local function set_live(flow, name, text)
  local last = #flow.writes
  flow.fields[name], flow.writes[last + 1], flow.writes[last + 2] = text, name, text
end

local function write_live(flow)
  local writes = flow.writes
  for at = 1, #writes, 1000 do redis.call('HSET', flow.live, unpack(writes, at, math.min(#writes, at + 999))) end
end

-- {number of its first edge, letters, the nodes behind it}
local function graph_of(flow, node)
  local found = flow.graph[node]
  if not found then
    found = cmsgpack.unpack(redis.call('HGET', flow.key .. ':graph', node))
    flow.graph[node] = found
  end
  return found
end

local function has_letter(flow, node, letter) return string.find(graph_of(flow, node)[2], letter, 1, true) ~= nil end

local function move(flow, node, old, letter, version, run, now)
  set_live(flow, node, letter .. ' ' .. int(version) .. ' ' .. run)
  -- One after the other: both may be the same, of a job that was redriven before it was told of.
  flow.counts[old] = flow.counts[old] - 1
  flow.counts[letter] = flow.counts[letter] + 1
  flow.is_changed = true
  if (FAILED[old] or false) ~= (FAILED[letter] or false) and not has_letter(flow, node, 'o') then
    flow.bad = flow.bad + (FAILED[letter] and 1 or -1)
  end
  if old == 'w' then
    if letter == 'g' then set_live(flow, 't' .. node, int(now)) end
  elseif letter == 'S' or FAILED[letter] then
    -- An older release has begun it, where it has no time.
    local began = string.match(live_of(flow, 't' .. node) or '', '^%d+') or int(now)
    set_live(flow, 't' .. node, began .. ' ' .. int(now))
  end
end

local dropped = {}

-- A node that will not run, in this run.
local function drop(flow, node, old, version, run, reason, now)
  move(flow, node, old, 'X', version, run, now)
  set_live(flow, 'x' .. node, reason)
  dropped[#dropped + 1] = node
end

-- An edge to this node is done.
local function pass(flow, node, now)
  local edges = 'n' .. node
  local open = (tonumber(live_of(flow, edges)) or 1) - 1
  if open > 0 then return set_live(flow, edges, int(open)) end -- @bug:first-edge-suffices
  local letter, version, run = node_of(live_of(flow, node))
  if letter ~= 'w' then return end
  if flow.cancel then return drop(flow, node, letter, version, run, 'workflow_cancelled', now) end
  move(flow, node, letter, 'g', version, run, now)
  put_out(now, 's ' .. flow.id .. ' ' .. node .. ' ' .. run) -- @bug:ready-and-forgotten
end

-- Tell one node what became of the one before it.
local function tell_node(flow, letter, edge, node, now)
  local policy = letter == 'S' and 'r' or string.sub(graph_of(flow, node)[2], 1, 1)
  if policy == 'r' then
    if redis.call('SETBIT', flow.edges, edge, 1) == 0 then pass(flow, node, now) end -- @bug:edge-counts-twice
  elseif letter ~= 'D' or policy == 'c' then
    local child, version, run = node_of(live_of(flow, node))
    if child == 'w' then drop(flow, node, child, version, run, PARENT[letter], now) end
  end
end

-- Tell the nodes behind this one in which state it is now, from where the last walk broke off.
local function walk_one(flow, node, letter, from, now)
  local graph = graph_of(flow, node)
  local last = math.min(#graph, from + budget - 1)
  for at = from, last do tell_node(flow, letter, graph[1] + at - 3, int(graph[at]), now) end
  budget = budget - math.max(0, last - from + 1)
  if last < #graph then
    set_live(flow, 'c' .. node, int(last + 1))
    put_out(now, 'w ' .. flow.id .. ' ' .. node)
    flow.is_walking = true
  elseif from > 3 then
    redis.call('HDEL', flow.live, 'c' .. node)
  end
end

-- Tell all behind a node, and all behind those that are dropped on the way. From the third value on a graph has the nodes
-- behind.
local function walk(flow, node, now, from)
  dropped[1] = node
  local at = 1
  while dropped[at] do
    local one = dropped[at]
    local letter = one == ROOT and 'S' or node_of(live_of(flow, one))
    if letter == 'S' or FAILED[letter] then walk_one(flow, one, letter, at == 1 and from or 3, now) end
    at = at + 1
  end
  dropped = {}
end

-- Cancel the rest of a workflow, which ends so: `cancelled` or `failed`.
local function begin_cancel(flow, ends_as, reason, now)
  flow.cancel, flow.is_changed = ends_as, true
  redis.call('HSET', flow.key, 'cancel', ends_as, 'reason', reason)
  put_out(now, 'q ' .. flow.id)
end

-- What follows when a node has failed.
local function judge(flow, node, letter, now)
  local counts = (letter == 'D' or letter == 'E') and not has_letter(flow, node, 'o')
  if not counts or flow.cancel or select(2, options_of(flow)) ~= 'cancel' then return end
  begin_cancel(flow, 'failed', 'node_failed', now)
end

local NOTHING = '\192' -- in MessagePack

local function items_key(flow, node) return flow.key .. ':items:' .. node end

-- The results of all items as one array in MessagePack, with null for those that have failed.
local function join_parts(flow, node, total)
  local key, values = flow.key .. ':parts:' .. node, {}
  for from = 0, total - 1, 1000 do
    local names = {}
    for item = from, math.min(total, from + 1000) - 1 do names[#names + 1] = int(item) end
    for _, value in ipairs(redis.call('HMGET', key, unpack(names))) do values[#values + 1] = value or NOTHING end
  end
  redis.call('PEXPIRE', key, '-1')
  local head = '\221' .. string.char(math.floor(total / 16777216) % 256, math.floor(total / 65536) % 256,
    math.floor(total / 256) % 256, total % 256)
  return head .. table.concat(values)
end

-- Draw what follows for a node with `map` when one of its items has changed: it has ended with the last of them.
local function settle_items(flow, node, now)
  local items = redis.call('HMGET', items_key(flow, node), 'total', 'next', 'S', 'D', 'X', 'E', 'most')
  local total, upto = tonumber(items[1]), tonumber(items[2]) or 0
  local old, version, run = node_of(live_of(flow, node))
  -- One that has succeeded stays so: what is behind it has its result.
  if not total or old == 'S' or old == 'w' then return end
  local failed = (tonumber(items[4]) or 0) + (tonumber(items[5]) or 0) + (tonumber(items[6]) or 0)
  local letter = upto < total and 'g' or 'r'
  if (tonumber(items[3]) or 0) + failed >= total then -- @bug:first-item-suffices
    letter = failed <= (tonumber(items[7]) or 0) and 'S' or flow.cancel and 'X' or 'D'
  end
  if letter == old then return end
  move(flow, node, old, letter, version + 1, run, now)
  if letter == 'g' or letter == 'r' then return end
  redis.call('ZREM', flow_outbox, 's ' .. flow.id .. ' ' .. node .. ' ' .. run)
  -- None is to be started any more, whatever call would have gone on; the auditor looks for one that is redriven.
  redis.call('HSET', items_key(flow, node), 'next', total) -- @bug:redriven-item-is-not-looked-for
  if letter == 'S' and has_letter(flow, node, 'k') then
    redis.call('HSET', flow.key .. ':results', node, join_parts(flow, node, total))
  elseif letter == 'D' then
    set_live(flow, 'x' .. node, 'items_failed')
  end
  walk(flow, node, now, 3)
  judge(flow, node, letter, now)
end

-- Note in which state an item is. Returns whether that is news.
local function note_item(flow, node, item, letter, version)
  local key = items_key(flow, node)
  local old, held = string.match(redis.call('HGET', key, item) or '', '^(%a) (%d+)$')
  if version <= (tonumber(held) or -1) then return false end -- @bug:item-counts-twice
  redis.call('HSET', key, item, letter .. ' ' .. int(version))
  if old and old ~= 'r' then redis.call('HINCRBY', key, old, -1) end
  if letter ~= 'r' then redis.call('HINCRBY', key, letter, 1) end
  return true
end

local function state_of(flow)
  local counts = flow.counts
  if counts.w + counts.g + counts.r == 0 then return flow.cancel or (tonumber(flow.bad) > 0 and 'failed' or 'succeeded') end
  if flow.cancel then return 'cancelling' end
  if counts.g + counts.r == 0 and not flow.is_walking then return 'stalled' end
  return 'running'
end

-- Write what has changed of the workflows of this call; note those that have ended by it.
local function close_flows(now)
  write_outbox(now)
  for _, flow in pairs(opened) do
    write_live(flow)
    if flow.is_changed then
      local state, counts = state_of(flow), flow.counts
      if state ~= flow.state then
        -- A client may wait for it. It is seldom enough to be told always.
        if ENDED[state] or state == 'stalled' then hint_of_shard('settled', flow.id) end
        if ENDED[state] then
          redis.call('ZADD', flow_ended, int(now), flow.id) -- @bug:end-is-not-recorded
        end
      end
      enter_state(flow, state, (options_of(flow)), now, 'turn', turn_after(flow.turn, now), 'counts',
        string.format('%d %d %d %d %d %d %d %d %d', counts.w, counts.g, counts.r, counts.S, counts.D, counts.X, counts.E,
          flow.bad, flow.kept))
    end
  end
  write_totals()
end
