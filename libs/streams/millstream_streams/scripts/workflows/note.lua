-- Tell workflows in which state the jobs of their nodes are. What was told before, and news of an earlier run, change
-- nothing.
--
-- Caller      dispatchers
-- Idempotent  by the version of the job
-- Needs       numbers shards flows workflows
-- KEYS        1-2, 4-5 as in _flows.lua, written
-- ARGV[2..]   per job six values: id of the workflow; node, `<node>.<item>` of one with `map`; run; state of the job, or `unknown`; version; result
--             (MessagePack) when it is referred to, else ''
-- Returns     ids of the workflows that have ended by this

local now = now_ms()

-- The first write, for a full Redis.
redis.call('ZREM', flow_outbox, '')

-- What a success amounts to: one whose result has no room is a failure of its own.
local function keep(flow, node, result)
  if not has_letter(flow, node, 'k') then return 'S' end
  if flow.kept + #result > MAX_RESULTS_BYTES then
    set_live(flow, 'x' .. node, 'results_too_large')
    return 'D'
  end
  flow.kept = flow.kept + #result
  redis.call('HSET', flow.key .. ':results', node, result == '' and NOTHING or result)
  return 'S'
end

-- A job of a node with `map`.
local function note_part(flow, node, item, run, state, version, result)
  local _, _, held_run = node_of(live_of(flow, node))
  if held_run ~= run then return end
  local letter = LETTERS[state] or 'r'
  local is_kept = letter == 'S' and has_letter(flow, node, 'k')
  if is_kept and flow.kept + #result > MAX_RESULTS_BYTES then letter, is_kept = 'D', false end
  if not note_item(flow, node, item, letter, tonumber(version)) then return end
  if is_kept then
    flow.kept, flow.is_changed = flow.kept + #result, true
    redis.call('HSET', flow.key .. ':parts:' .. node, item, result == '' and NOTHING or result)
  end
  settle_items(flow, node, now)
end

local function note(id, node, run, state, version, result)
  local flow = open_flow(id)
  if not flow then return end
  if string.find(node, '.', 1, true) then
    local of_map, item = string.match(node, '^(%d+)%.(%d+)$')
    return note_part(flow, of_map, item, run, state, version, result)
  end
  local old, held_version, held_run = node_of(live_of(flow, node))
  local is_news = held_run == run and tonumber(version) > held_version -- @bug:any-news
  if not is_news then return end
  if old == 'g' then redis.call('ZREM', flow_outbox, 's ' .. id .. ' ' .. node .. ' ' .. run) end
  local letter = LETTERS[state] or 'r'
  if letter == 'S' then letter = keep(flow, node, result) end
  move(flow, node, old, letter, version, run, now)
  walk(flow, node, now, 3)
  judge(flow, node, letter, now)
end

-- pcall: what another program has written stops one workflow.
for at = 2, #ARGV, 6 do pcall(note, unpack(ARGV, at, at + 5)) end
close_flows(now)
return flows_ended
