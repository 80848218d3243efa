-- Note that an action of a principal begins, so that it leaves a record also when ingest ends in the middle of it.
--
-- Caller      ingest, `millstream keys bootstrap`
-- Idempotent  by the id of the action
-- Needs       (nothing)
-- KEYS        1-2, a hash and a stream: the actions that have begun, an id to what is known of each (MessagePack), written;
--             the records that wait for the history
-- ARGV[1]     id of the action
-- ARGV[2]     what is known of it (MessagePack)
-- ARGV[3]     how many records may wait, with the actions that have begun; '0' for any number
-- Returns     1 it may begin; 0 it must not, because its record could not be kept
--
-- The first write is one without the flag `denyoom`: to cancel, to discard and to revoke are possible on a full server,
-- and they need their record.

local open, trail = KEYS[1], KEYS[2]
local most = tonumber(ARGV[3])

if most > 0 and redis.call('HLEN', open) + redis.call('XLEN', trail) >= most then return 0 end
redis.call('HDEL', open, ARGV[1])
redis.call('HSET', open, ARGV[1], ARGV[2])
return 1
