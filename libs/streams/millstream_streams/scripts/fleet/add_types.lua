-- Publish how a worker handles job types. The newest start has the last word, however often each is sent again.
--
-- Caller      workers, at their start and now and then
-- Idempotent  by worker: sent again, it has the start that it had
-- Needs       numbers fleet
-- KEYS        1-2 as in _fleet.lua, written
-- ARGV[1]     worker; '' for none that lives, whose word holds until another one registers
-- ARGV[2]     release
-- ARGV[3]     start, or '' to begin one now
-- ARGV[4]     ms for which the worker counts as alive without a further heartbeat
-- ARGV[5]     all registrations of the release (MessagePack)
-- ARGV[6..]   per type two values: `<tenant>/<type>`, registration (MessagePack)
-- Returns     the start
--
-- What no live worker describes any more stays as the last one had it, so that a deployment without workers refuses
-- nothing that it took before.

local worker, release = ARGV[1], ARGV[2]
local now = now_ms()

forget_silent(now)
local live = read_starts()
local mine = live[worker]
local start = tonumber(ARGV[3]) or (mine and mine.start) or now

if worker ~= '' then
  local own = member(start, release, worker)
  if mine and mine.member ~= own then redis.call('ZREM', starts, mine.member) end
  redis.call('ZADD', starts, int(now + tonumber(ARGV[4])), own)
  live[worker] = {start = start, release = release}
  redis.call('HSETNX', types, release, ARGV[5])
end

-- Whether a registration that is there has to stay: its worker lives, and began after this one. Two releases that begin
-- in one millisecond are told apart by their digests, wherever they are compared.
local function outranks(text)
  local held_start, holder = string.match(text or '', '^(%d+) (%S*) ')
  if not held_start or holder == worker or not live[holder] then return false end
  held_start = tonumber(held_start)
  return held_start > start or (held_start == start and live[holder].release > release)
end

for at = 6, #ARGV, 2 do
  if not outranks(redis.call('HGET', types, ARGV[at])) then
    redis.call('HSET', types, ARGV[at], int(start) .. ' ' .. worker .. ' ' .. ARGV[at + 1])
  end
end

local releases = {}
for _, one in pairs(live) do releases[one.release] = true end
for _, field in ipairs(redis.call('HKEYS', types)) do
  if not string.find(field, '/', 1, true) and not releases[field] then redis.call('HDEL', types, field) end
end
return int(start)
