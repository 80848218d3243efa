-- Make a data key the present one of a tenant, where the one before it still is.
--
-- Caller      every service that encrypts, `millstream encryption rotate`
-- Idempotent  yes: the second time the key is the present one already
-- KEYS        1, a hash, written: a tenant to the id of its present key; tenant and id, with a blank between, to the
--             wrapped key (MessagePack)
-- ARGV[1]     the tenant
-- ARGV[2]     the id of the present key that the caller knows of; '' for none
-- ARGV[3]     the id of the new key
-- ARGV[4]     the new key, wrapped
-- Returns     the id of the key that is the present one now, and that key; '' for one that is not there
--
-- The first write is a removal of nothing: on a full Redis, what has ended in a new month has to be stored too.

local keys, tenant, before, kid = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local present = redis.call('HGET', keys, tenant) or ''
if present == before and present ~= kid then
  redis.call('HDEL', keys, '')
  redis.call('HSET', keys, tenant .. ' ' .. kid, ARGV[4], tenant, kid)
  present = kid
end
return { present, redis.call('HGET', keys, tenant .. ' ' .. present) or '' }
