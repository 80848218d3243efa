-- Begin to deal the limits of a type out to its partitions: it is run on the first of them (ADR 106).
--
-- Caller      dispatchers, ingest and workers
-- Idempotent  no, and need not be: a deal that nothing follows changes nothing
-- Needs       numbers queue
-- KEYS        7 as in _queue.lua, written
-- ARGV[2]     the numbers of its partitions, with commas between
-- Returns     {the turn of this deal; the numbers of all partitions that were ever dealt to}
--
-- Turns grow, also where a failover has lost some: they are not before the Unix ms.

local turn, known = unpack(redis.call('HMGET', settings, 'deal', 'dealt_to'))
local numbers, seen = {}, {}
for number in string.gmatch(ARGV[2] .. ',' .. (known or ''), '%d+') do
  if not seen[number] then numbers[#numbers + 1] = tonumber(number) end
  seen[number] = true
end
table.sort(numbers)
-- The first write: limits are dealt out also when Redis is full.
redis.call('HDEL', settings, '')
turn = int(math.max((tonumber(turn) or 0) + 1, now_ms()))
redis.call('HSET', settings, 'deal', turn, 'dealt_to', table.concat(numbers, ','))
return {turn, numbers}
