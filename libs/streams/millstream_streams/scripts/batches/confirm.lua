-- Note what became of promised members, and of members whose jobs are gone.
--
-- Caller      ingest, workers, and dispatchers for promises that have run out
-- Idempotent  yes
-- Needs       numbers shards flows batches
-- KEYS        1-2, 4 as in _flows.lua, written
-- ARGV[2]     id
-- ARGV[3..]   per job two values: id; `stored`, `absent` when a promised one never was, Unix ms when one whose promise
--             ended then is not there, or `lost` when the job of a member is gone
-- Returns     how many are lost

local now = now_ms()
local lost = 0

-- The first write, for a full Redis.
redis.call('ZREM', flow_outbox, '')

local function confirm(batch, job, what)
  local score = redis.call('ZSCORE', batch.members, job)
  if not score then return end
  local rank, value = rank_of(tonumber(score))
  if what == 'lost' and (rank == OPEN or rank == ASKED) then
    put_member(batch, job, CANCELLED, UNIT)
    lost = lost + 1
  elseif rank ~= PROMISED or what == 'lost' then
    return
  elseif what == 'stored' then
    put_member(batch, job, OPEN, 0)
    if batch.cancel then put_out(now, 'x ' .. batch.id) end
  elseif what == 'absent' or tonumber(what) == value then -- @bug:drops-what-was-promised-anew
    remove_member(batch, job)
  end
end

local batch = open_batch(ARGV[2])
-- pcall: what another program has written stops one batch.
if batch then pcall(function() for at = 3, #ARGV, 2 do confirm(batch, ARGV[at], ARGV[at + 1]) end end) end
close_batches(now)
return lost
