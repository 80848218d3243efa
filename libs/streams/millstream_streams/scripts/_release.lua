-- Part `release`: how jobs that wait for a time become ready. Needs `numbers`, `queue`, `past`, `moves` and `gate`.

local released_jobs, late_jobs = {}, {}

-- What `release_job` has to know of a job; its state comes first.
local function read_released(id)
  return redis.call('HMGET', jobs .. id, 'state', 'priority', 'version', 'expires_at', 'deliveries', 'waited', 'started_at')
end

-- Make a scheduled job ready, or expire one that is too late. The caller has taken it out of `due`.
local function release_job(id, job, now, ttl_ms, is_first)
  local state, priority, old_version, expires_at, number, waited, started_at = unpack(job)
  local version, deliveries = next_version(old_version, state), deliveries_of(number, started_at)
  if (tonumber(expires_at) or math.huge) <= now then
    finish(id, 'expired', version, now, ttl_ms, waited)
    record(late_jobs, id, version, deliveries)
  else
    make_ready(id, priority, version, now, is_first)
    record(released_jobs, id, version, deliveries)
  end
end

-- The end of a script that releases jobs. `why` says what else than their time has released them.
local function tell_released(now, why)
  settle()
  append_event('released', 'queued', now, '', released_jobs, why)
  append_event('expired', 'expired', now, '', late_jobs)
end
