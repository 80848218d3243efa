-- Part `steps`: what durable handlers keep of their jobs (ADR 79). Needs `numbers`, `queue` and `moves`.
--
-- steps:<id>    hash: a step by its name. The value is `<kind> <Unix ms> <version>`, a line feed, and what it has given
--               (MessagePack). The kinds: `step`; `slept`; `signal`; `timeout` of a wait; `wait` of one that goes on,
--               with the Unix ms until which it does, or nothing; `calling`, with the ids of jobs, and `call` with their
--               results. The field '' has `<number of steps> <their bytes>`
-- signals:<id>  stream: the signals that no wait has taken yet, with the fields `name` and `payload` (MessagePack)

-- Kind and content of a stored step.
local function read_step(stored)
  local kind, content = string.match(stored or '', '^(%a+) %d+ [^\n]*\n(.*)$')
  return kind, content
end

-- Store a step, within bounds: {steps of a job, bytes of all together}. Returns 1; -3 when there are too many, -4 when
-- they are too large.
local function put_step(id, name, before, waited, bounds, kind, now, version, content)
  local key, value = steps_key(id), kind .. ' ' .. int(now) .. ' ' .. version .. '\n' .. content
  local count, bytes = string.match(redis.call('HGET', key, '') or '', '^(%d+) (%d+)$')
  count, bytes = tonumber(count) or 0, tonumber(bytes) or 0
  if before then
    bytes = bytes - #before
  else
    count, bytes = count + 1, bytes + #name
  end
  bytes = bytes + #value
  if count > bounds[1] then return -3 end -- @bug:any-number-of-steps
  if bytes > bounds[2] then return -4 end
  redis.call('HSET', key, name, value, '', int(count) .. ' ' .. int(bytes))
  if not has_steps(waited) then redis.call('HSET', jobs .. id, 'waited', (waited or '') .. 's') end
  return 1, value
end

-- The oldest signal of a name: its entry, and its payload. pcall: a key that something else has written has none.
local function find_signal(id, name)
  local entries = redis.pcall('XRANGE', signals_key(id), '-', '+')
  for _, entry in ipairs(entries.err and {} or entries) do
    local fields = entry[2]
    if fields[1] == 'name' and fields[2] == name then return entry[1], fields[4] or '\192' end
  end
  return nil
end

-- Let a job wait for a signal, `<ms> <name>`. The look at the signals and the wait are one step: none is lost between.
-- Returns the ms until it is tried again, 0 when its signal has come since its handler has looked.
local function wait_for_signal(id, text)
  local delay_ms, name = string.match(text, '^(%d+) (.*)$')
  if find_signal(id, name) then return 0 end -- @bug:signal-missed
  redis.call('HSET', jobs .. id, 'waiting_for', name)
  return tonumber(delay_ms)
end
