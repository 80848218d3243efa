-- Record a request that was refused before it could begin anything.
--
-- Caller      ingest
-- Idempotent  no: it is sent once
-- Needs       (nothing)
-- KEYS[2]     stream, written: the records that wait for the history
-- ARGV[1]     its record (MessagePack)
-- ARGV[2]     how many records may wait: above that it is not recorded
-- Returns     1 it is recorded; 0 too many wait
--
-- Its first write has the flag `denyoom`, and it is not recorded on a full server: those who are refused must not fill
-- the memory, nor the room of the records of actions.

local trail = KEYS[2]

if redis.call('XLEN', trail) >= tonumber(ARGV[2]) then return 0 end
redis.call('XADD', trail, '*', 'r', ARGV[1])
return 1
