-- Take back the deliveries whose lease has run out, and bury the jobs that have crashed too often.
--
-- Caller      reapers; any number at once
-- Idempotent  yes
-- KEYS        1-3, 5-6 as in _queue.lua, written
-- ARGV[2]     lease in ms: entries idle for longer are taken back
-- ARGV[3]     crashes after which a job is buried
-- ARGV[4]     how many entries to look at per stream, 100 or fewer
-- ARGV[5]     ms for which a cancelled job can be read
-- ARGV[6..8]  cursors of the three streams, '0-0' to begin, '' when that stream is done
-- Returns     {cursors, '' where done; requeued jobs; buried jobs; number of stray entries removed; 1 when anything is
--             pending still, 0 when not}; per job {id, spec, worker that had it, deliveries, whether a crash was charged}
--
-- XAUTOCLAIM is asked for ids only: so the answer has one form on every server, names entries that were deleted
-- under the pending list (Redis 6.2 would give nil and keep them for ever), and counts no delivery.

local now = now_ms()
local lease_ms, max_crashes, count, ttl_ms = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local requeued, buried, strays = {}, {}, 0
local recovered, died, cancelled = {}, {}, {}

local function recover(index, entry, id)
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'entry', 'priority', 'version', 'crashes', 'deliveries', 'cancel',
    'waited', 'spec', 'worker', 'token', 'apart')
  drop_entry(ready[index], entry)
  if (job[1] ~= 'running' and job[1] ~= 'queued') or job[2] ~= entry then
    strays = strays + 1
    return
  end
  local version = next_version(job[4])
  -- Nothing is charged where the handler has not begun: the job is still `queued`, read but never claimed, or it
  -- waited for its turn to run alone.
  local crashed = job[1] == 'running' and job[11] ~= job[12]
  local crashes = (tonumber(job[5]) or 0) + (crashed and 1 or 0)
  local report = {id, job[9] or '', job[10] or '', tonumber(job[6]) or 0, crashed and 1 or 0}
  if crashed then redis.call('HSET', key, 'crashes', int(crashes)) end
  if job[7] then
    finish(id, 'cancelled', version, now, ttl_ms, job[8], 'reason', 'cancelled')
    note(cancelled, id, version, job[6])
  elseif crashed and crashes >= max_crashes then
    local message = 'the worker vanished ' .. int(crashes) .. ' times while running this job'
    bury(id, 'crashed', 'crashed', version, now, job[8],
      'error', cmsgpack.pack({type = 'crashed', message = message, fingerprint = 'crashed'}))
    note(died, id, version, job[6])
    buried[#buried + 1] = report
  else
    make_ready(id, job[3], version, now)
    note(recovered, id, version, job[6])
    requeued[#requeued + 1] = report
  end
end

local function sweep(index, cursor)
  local reply = redis.pcall('XAUTOCLAIM', ready[index], GROUP, 'reaper', lease_ms, cursor, 'COUNT', count, 'JUSTID')
  if reply.err then
    -- No group yet means that nothing was ever delivered.
    if string.find(reply.err, 'NOGROUP', 1, true) then return '' end
    -- Any other error is raised by this call in the form that clients know.
    reply = redis.call('XAUTOCLAIM', ready[index], GROUP, 'reaper', lease_ms, cursor, 'COUNT', count, 'JUSTID')
  end
  for _, entry in ipairs(reply[2]) do
    local found = redis.call('XRANGE', ready[index], entry, entry)
    if found[1] then
      recover(index, entry, found[1][2][2])
    else
      redis.call('XACK', ready[index], GROUP, entry)
      strays = strays + 1
    end
  end
  return reply[1] == '0-0' and '' or reply[1]
end

-- Whether anything is left in a worker's hands, in any stream, swept by this call or not. A summary: it costs the same
-- however much is pending.
local function any_pending()
  for index = 1, 3 do
    local reply = redis.pcall('XPENDING', ready[index], GROUP)
    -- What cannot be counted may be there: whoever is told that there is nothing stays away for long.
    if reply.err and not string.find(reply.err, 'NOGROUP', 1, true) then return 1 end
    if not reply.err and reply[1] > 0 then return 1 end
  end
  return 0
end

local cursors = {}
for index = 1, 3 do
  local cursor = ARGV[5 + index]
  cursors[index] = cursor == '' and '' or sweep(index, cursor)
end
emit('recovered', 'queued', now, '', recovered)
emit('dead', 'dead', now, '', died, 'crashed')
emit('cancelled', 'cancelled', now, '', cancelled, 'cancelled')
return {cursors, requeued, buried, strays, any_pending()}
