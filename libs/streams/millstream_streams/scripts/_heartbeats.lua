-- Part `heartbeats`: hashes of processes by name. Needs `numbers`.
--
-- A value is `<Unix ms of the heartbeat> <what the process says of itself>`. The time is that of Redis: the clock of a
-- process may be wrong by minutes.

local function note_heartbeat(hash, name, now, said) redis.call('HSET', hash, name, int(now) .. ' ' .. said) end

-- Returns the names without a heartbeat for so many ms, and those of entries that are none.
local function silent_in(hash, ms, now)
  local silent = {}
  local rows = redis.call('HGETALL', hash)
  for at = 1, #rows, 2 do
    local seen = tonumber(string.match(rows[at + 1], '^(%d+) '))
    if not seen or now - seen > tonumber(ms) then silent[#silent + 1] = rows[at] end
  end
  return silent
end
