-- Part `numbers`: integers and the time, for every script.

-- Lua writes large numbers with exponents and loses digits above 2^53: every integer is written by this function.
-- A call writes the same few numbers for each of its jobs, and formatting one takes longer than most commands.
local texts = {}
local function int(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end

-- Unix ms by the clock of Redis.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- ms until the first of a sorted set by Unix ms is due: '0' when it is now, '-1' when there is none.
local function until_first(line, now)
  local head = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
  return head[2] and int(math.max(0, tonumber(head[2]) - now)) or '-1'
end
