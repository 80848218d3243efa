-- Begin to deal out a limit that several queues share: those of a type to its partitions, where it is run on the first of them
-- (ADR 106), or the quota of a tenant to its queues, where it is run on what stands for the tenant (ADR 130).
--
-- Caller      dispatchers, ingest and workers
-- Idempotent  no, and need not be: a deal that nothing follows changes nothing
-- Needs       numbers queue
-- KEYS        7 as in _queue.lua, written
-- ARGV[2]     the names of the queues, with commas between: numbers of partitions, or tags
-- Returns     {the turn of this deal; the names of all queues that may have a part; the quota of the tenant, or ''}
--
-- Turns grow, also where a failover has lost some: they are not before the Unix ms.

local turn, known, quota = unpack(redis.call('HMGET', settings, 'deal', 'dealt_to', 'quota'))
local names, seen = {}, {}
for name in string.gmatch(ARGV[2] .. ',' .. (known or ''), '[^,]+') do
  if not seen[name] then names[#names + 1] = name end
  seen[name] = true
end
-- The first write: limits are dealt out also when Redis is full.
redis.call('HDEL', settings, '')
turn = int(math.max((tonumber(turn) or 0) + 1, now_ms()))
redis.call('HSET', settings, 'deal', turn, 'dealt_to', table.concat(names, ','))
return {turn, names, quota or ''}
