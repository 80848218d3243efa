-- Open or close the circuit breaker of a queue by hand.
--
-- Caller      ingest
-- Idempotent  yes: a breaker that is open by hand keeps its time and its reason
-- Needs       numbers queue moves gate
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     '1' to open it until it is closed by hand, '' to close it
-- ARGV[3]     why it is opened
-- Returns     1 when it is changed by this; 0 when it was so before; -1 when the queue has no breaker

if not gate or not gate.has_breaker then return -1 end
local is_changed = false
if ARGV[2] == '1' then is_changed = gate.force_open(ARGV[3]) else is_changed = gate.close() end
settle()
return is_changed and 1 or 0
