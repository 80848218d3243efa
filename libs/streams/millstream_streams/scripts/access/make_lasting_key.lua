-- Make the key of a tenant that never changes, where it has none yet.
--
-- Caller      every service that stores unique jobs encrypted
-- Idempotent  yes: the second time the key is there already
-- KEYS        1, a hash, written: tenant and id, with a blank between, to the wrapped key (MessagePack)
-- ARGV[1]     tenant and id
-- ARGV[2]     the new key, wrapped
-- Returns     the key that is there now

local keys, name = KEYS[1], ARGV[1]

local found = redis.call('HGET', keys, name)
if found then return found end
redis.call('HSET', keys, name, ARGV[2])
return ARGV[2]
