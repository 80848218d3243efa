-- Store, change or remove a tenant, where it is still what the caller has read of it.
--
-- Caller      ingest, dispatchers
-- Idempotent  yes: what is as it should be already is not compared
-- Needs       numbers
-- KEYS        1, as in put_keys.lua, written: `!version` changes with each change here too; 3, a hash, written: the tenants,
--             a name to what is stored of each (MessagePack)
-- ARGV[1]     how many tenants there may be
-- ARGV[2]     name
-- ARGV[3]     what was read of it, or '' for nothing
-- ARGV[4]     what it becomes, or '' to remove it
-- Returns     1 done; 0 nothing was changed, because the tenant is not what was read; -1 nothing, because there are too many
--
-- Ingest holds keys and tenants in memory, and compares one version for both.

local keys, tenants = KEYS[1], KEYS[3]
local VERSION = '!version'
local name, read, becomes = ARGV[2], ARGV[3], ARGV[4]

local held = redis.call('HGET', tenants, name) or ''
if held == becomes then return 1 end
if held ~= read then return 0 end
if held == '' and redis.call('HLEN', tenants) >= tonumber(ARGV[1]) then return -1 end

-- The first write: a tenant is suspended and removed on a full server too.
redis.call('HDEL', tenants, name)
if becomes ~= '' then redis.call('HSET', tenants, name, becomes) end
local changes = string.match(redis.call('HGET', keys, VERSION) or '', '-(%d+)$') or 0
redis.call('HSET', keys, VERSION, int(now_ms()) .. '-' .. int(changes + 1))
redis.pcall('PUBLISH', string.match(keys, '^(.-):{') .. ':hints:keys', '')
return 1
