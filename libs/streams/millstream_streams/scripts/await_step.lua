-- Let a running job wait in a step: for a signal, for a time, or for a signal until then.
--
-- Caller      workers, for durable handlers
-- Idempotent  by name: the first call notes until when it waits, and what has ended a wait stays
-- Needs       numbers queue moves steps
-- KEYS        none but the hash of the job, and the keys of _steps.lua
-- ARGV[2]     job id
-- ARGV[3]     token of the delivery
-- ARGV[4]     name of the step
-- ARGV[5]     name of the signal; empty for a time alone
-- ARGV[6]     until when: `+ms`, Unix ms, or empty for no end
-- ARGV[7]     steps that a job may have
-- ARGV[8]     bytes that they may have together
-- Returns     {code, value}: 1 over, with the step; 0 it has to wait, with the ms until its end, -1 for none; and without
--             a value -1 stale: the job is another delivery's by now; -2 there is no such job; -3 it has too many steps;
--             -4 they are too large

local id, name, signal, ends = ARGV[2], ARGV[4], ARGV[5], ARGV[6]
local now = now_ms()
local bounds = {tonumber(ARGV[7]), tonumber(ARGV[8])}
local state, held, waited = unpack(redis.call('HMGET', jobs .. id, 'state', 'token', 'waited'))
if not state then return {-2} end
local is_ours = state == 'running' and held == ARGV[3] -- @bug:no-fence
if not is_ours then return {-1} end
local before = redis.call('HGET', steps_key(id), name)
local kind, content = read_step(before)
if kind and kind ~= 'wait' then return {1, before} end

local deadline = tonumber(content)
if not kind then
  deadline = string.sub(ends, 1, 1) == '+' and now + tonumber(string.sub(ends, 2)) or tonumber(ends)
end
local entry, payload
if signal ~= '' then entry, payload = find_signal(id, signal) end
local is_over = deadline and deadline <= now
if entry then
  local code, value = put_step(id, name, before, waited, bounds, 'signal', now, '', payload)
  if code == 1 then redis.call('XDEL', signals_key(id), entry) end -- @bug:signal-taken-twice
  return {code, value}
elseif is_over then
  return {put_step(id, name, before, waited, bounds, signal == '' and 'slept' or 'timeout', now, '', '\192')}
elseif not kind then
  local code = put_step(id, name, before, waited, bounds, 'wait', now, '', deadline and int(deadline) or '')
  if code ~= 1 then return {code} end
end
return {0, deadline and int(deadline - now) or '-1'}
