-- Take tokens of limits of the API, by GCRA: what a limit has given out is the time up to which it is spent.
--
-- Caller      ingest, for what it has let through already and for what comes next
-- Idempotent  no: a repetition takes tokens again, so it is never sent twice
-- Needs       numbers
-- KEYS        1, a zset, written: name of a limit to the Unix us up to which it is spent. One of the past says nothing
-- ARGV[1..]   per limit six values: its name; the us of a token; how many tokens it holds; how many are owed, which
--             are taken in any case; the fewest and the most to take beside them
-- Returns     per limit three values: how many were taken beside those owed; how many are left; the us until the fewest
--             are there, 0 where some were taken
--
-- Limits that are full again go first: this write frees memory, so a full server limits requests like another.

local rates = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local replies = {}

redis.call('ZREMRANGEBYSCORE', rates, '-inf', int(now))
for at = 1, #ARGV, 6 do
  local name, token_us, burst = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local owed, fewest, most = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local whole = burst * token_us
  local spent = math.max(tonumber(redis.call('ZSCORE', rates, name) or 0), now)
  -- Replicas cannot owe as much: the clock was set back, and no request is to wait until it has made up for that.
  spent = math.min(spent, now + 2 * whole) + owed * token_us
  local free = math.floor((now + whole - spent) / token_us + 1e-6)
  local taken = free >= fewest and math.max(0, math.min(free, most)) or 0
  spent = spent + taken * token_us
  if owed + taken > 0 then redis.call('ZADD', rates, int(spent), name) end
  local missing_us = 0
  if taken == 0 and fewest > 0 then missing_us = math.max(0, spent + fewest * token_us - now - whole) end
  replies[#replies + 1] = taken
  replies[#replies + 1] = math.max(0, free - taken)
  replies[#replies + 1] = math.ceil(missing_us)
end
return replies
