-- Store what a step of a running job has given.
--
-- Caller      workers, for durable handlers
-- Idempotent  by name and version: a step that is stored already stays, and is answered
-- Needs       numbers queue moves steps
-- KEYS        none but the hash of the job, and the keys of _steps.lua
-- ARGV[2]     job id
-- ARGV[3]     token of the delivery
-- ARGV[4]     name of the step
-- ARGV[5]     version of it: a step that is stored with another one is void, and replaced
-- ARGV[6]     kind
-- ARGV[7]     what it has given (MessagePack)
-- ARGV[8]     steps that a job may have
-- ARGV[9]     bytes that they may have together
-- Returns     {code, step}: 1 stored; 0 it was stored before; and without a step -1 stale: the job is another delivery's
--             by now; -2 there is no such job; -3 it has too many steps; -4 they are too large

local id, name, version = ARGV[2], ARGV[4], ARGV[5]
local state, held, waited = unpack(redis.call('HMGET', jobs .. id, 'state', 'token', 'waited'))
if not state then return {-2} end
local is_ours = state == 'running' and held == ARGV[3] -- @bug:no-fence
if not is_ours then return {-1} end
local before = redis.call('HGET', steps_key(id), name)
local is_kept = before and string.match(before, '^%a+ %d+ ([^\n]*)\n') == version -- @bug:steps-change
-- The results of called jobs take the place of their ids.
local is_called = ARGV[6] == 'call' and read_step(before) == 'calling'
if is_kept and not is_called then return {0, before} end
local bounds = {tonumber(ARGV[8]), tonumber(ARGV[9])}
return {put_step(id, name, before, waited, bounds, ARGV[6], now_ms(), version, ARGV[7])}
