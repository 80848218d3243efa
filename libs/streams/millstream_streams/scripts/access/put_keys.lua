-- Store, change and remove keys of the API, or sessions, each only where it is still what the caller has read of it.
--
-- Caller      ingest, `millstream keys bootstrap`
-- Idempotent  yes: what is as it should be already is not compared
-- Needs       numbers
-- KEYS        1-2, hashes, written: the keys or the sessions, an id to what is stored of each (MessagePack), and
--             `!version` to a text that changes with each change; their uses, an id to the Unix ms of the last one
-- ARGV[1]     how many keys there may be
-- ARGV[2..]   per key three values: its id; what was read of it, or '' for nothing; what it becomes, or '' to remove it
-- Returns     1 done; 0 nothing was changed, because a key is not what was read; -1 nothing, because there are too many
--
-- What is removed goes first: Redis compares its memory with `maxmemory` until the first write only, and a key has to be
-- revocable on a full server.

local keys, uses = KEYS[1], KEYS[2]
local VERSION = '!version'
local removed, written, added = {}, {}, 0

for at = 2, #ARGV, 3 do
  local id, read, becomes = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local held = redis.call('HGET', keys, id) or ''
  if held ~= becomes then
    -- A key is removed whatever it has become, because a release that knows less of it has to revoke it too.
    if becomes ~= '' and held ~= read then return 0 end
    if becomes == '' then
      removed[#removed + 1] = id
    else
      written[#written + 1], written[#written + 2] = id, becomes
      if held == '' then added = added + 1 end
    end
  end
end
if #removed == 0 and #written == 0 then return 1 end
-- One field is the version.
if added > 0 and redis.call('HLEN', keys) - 1 + added - #removed > tonumber(ARGV[1]) then return -1 end

local changes = string.match(redis.call('HGET', keys, VERSION) or '', '-(%d+)$') or 0
if #removed > 0 then
  redis.call('HDEL', keys, unpack(removed))
  redis.call('HDEL', uses, unpack(removed))
end
written[#written + 1], written[#written + 2] = VERSION, int(now_ms()) .. '-' .. int(changes + 1)
redis.call('HSET', keys, unpack(written))
redis.pcall('PUBLISH', string.match(keys, '^(.-):{') .. ':hints:keys', '')
return 1
