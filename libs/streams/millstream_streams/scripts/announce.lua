-- Return the dead letters that no job was submitted for yet, for types whose handler names an `on_dead`.
--
-- Caller      workers, for the types that they handle
-- Idempotent  yes: what was not noted as announced is returned again
-- Needs       numbers queue
-- KEYS        5 as in _queue.lua, read; 7 written
-- ARGV[2]     the entry up to which dead letters are announced by now; '' for none
-- ARGV[3]     how many to return at most
-- Returns     entry and job id of each, in turn, oldest first
--
-- The first call for a queue begins with the deaths from now on: no handler had asked for those before it.

local upto, limit = ARGV[2], tonumber(ARGV[3])

-- Stream ids compare as two numbers; both parts are below 2^53 in practice (ms, and a sequence).
local function is_before(left, right)
  local left_ms, left_seq = string.match(left, '(%d+)-(%d+)')
  local right_ms, right_seq = string.match(right, '(%d+)-(%d+)')
  if left_ms ~= right_ms then return tonumber(left_ms) < tonumber(right_ms) end
  return tonumber(left_seq) < tonumber(right_seq)
end

local announced = redis.call('HGET', settings, 'announced')
if not announced then
  announced = int(now_ms() - 1) .. '-0'
  redis.call('HSET', settings, 'announced', announced)
end
-- Another worker may have noted more.
if upto ~= '' and is_before(announced, upto) then
  announced = upto
  redis.call('HSET', settings, 'announced', announced)
end

local found = {}
if limit > 0 then
  for _, letter in ipairs(redis.call('XRANGE', dlq, '(' .. announced, '+', 'COUNT', limit)) do
    local entry, fields = letter[1], letter[2]
    for at = 1, #fields, 2 do
      if fields[at] == 'id' then
        found[#found + 1], found[#found + 2] = entry, fields[at + 1]
      end
    end
  end
end
return found
