-- Note that a batch was looked at, and submit jobs of callbacks again that Redis has lost.
--
-- Caller      dispatchers
-- Idempotent  yes
-- Needs       numbers shards flows batches
-- KEYS        1-2 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3]     the shortest time in ms until the next look; after a while it is half of the time without a change
-- ARGV[4]     the longest such time in ms
-- ARGV[5..]   events whose jobs are gone
-- Returns     how many are submitted again

local now = now_ms()
local id, shortest, longest = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local restarted = 0

-- The first write, for a full Redis.
redis.call('ZREM', flow_checks, '')

-- The first of these: members that are still, a promise that ends, the time at which it closes itself, that at which it
-- is forgotten.
local function next_check(batch)
  local at = next_look(batch.turn, shortest, longest, now)
  local closes_at, finished_at = unpack(redis.call('HMGET', batch.key, 'closes_at', 'finished_at'))
  local first = redis.call('ZRANGE', batch.members, 0, 0, 'WITHSCORES')
  if first[2] and rank_of(tonumber(first[2])) == PROMISED then at = math.min(at, tonumber(first[2])) end
  if not batch.closed and tonumber(closes_at) then at = math.min(at, tonumber(closes_at)) end
  if ENDED[batch.state] then
    local over = (tonumber(finished_at) or now) + tonumber(batch.retention)
    at = awaits_callbacks(batch, 'gr') and math.min(at, math.max(over, now + shortest)) or over
  end
  return at
end

local function check(batch)
  for _, event in ipairs({unpack(ARGV, 5)}) do
    local letter, version = mark_of(batch, event)
    if letter == 'r' then
      put_mark(batch, event, 'g', version)
      put_out(now, 's ' .. id .. ' ' .. event)
      restarted = restarted + 1
    end
  end
  redis.call('ZADD', flow_checks, 'XX', int(next_check(batch)), id)
end

local batch = open_batch(id)
if batch then pcall(check, batch) end
write_outbox(now)
return restarted
