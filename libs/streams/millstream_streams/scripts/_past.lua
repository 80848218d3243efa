-- Part `past`: what scripts leave out of the hash of a job without a past.
--
-- A job has a past when its hash has a `version`. Most jobs are stored, claimed and succeed, and never get one. What
-- follows from the state of such a job is not written: its version, that it was delivered once, that its success is
-- the first attempt. Every other transition writes `version`, and from then on each one does.
-- The presence of `version` is therefore what makes `claim` read more than five fields of a queued job: a field that
-- `claim` must honour needs `version` set by enqueue.lua, as `expires_at` does.
-- millstream_streams/store/plain.py is the same rule for those who read hashes.

local PLAIN_VERSION = {queued = 1, running = 2, succeeded = 3}

local function has_past(version) return version ~= false end

local function version_of(version, state) return tonumber(version) or PLAIN_VERSION[state] or 1 end

local function next_version(version, state) return version_of(version, state) + 1 end

local function deliveries_of(deliveries, started_at) return tonumber(deliveries) or (started_at and 1 or 0) end

-- A job that succeeded keeps the token of its commit, for no other can follow. In other states, and in what earlier
-- releases committed, `done_token` has that of the last commit.
local function was_committed(state, held, done_token, token)
  if state == 'succeeded' and held ~= '' then
    return held == token -- @bug:any-token
  end
  return done_token == token
end

-- A job in a state of a newer release is left to that release, with its entry. One that waits for a time is looked at
-- again after FOREIGN_AGAIN_MS.
local FOREIGN_AGAIN_MS = 1000
local STATES = {blocked = true, scheduled = true, queued = true, running = true, succeeded = true, cancelled = true,
  expired = true, dead = true}
local function is_foreign(state) return state and not STATES[state] end
