-- Record how an action ended, in place of its begin.
--
-- Caller      ingest, `millstream keys bootstrap`; dispatchers, of actions whose ingest has ended in the middle
-- Idempotent  by the id of the action: its begin is there once
-- Needs       (nothing)
-- KEYS        1-2, a hash and a stream, written: the actions that have begun; the records that wait for the history
-- ARGV[1]     id of the action
-- ARGV[2]     its record (MessagePack)
-- ARGV[3]     how many records are kept, where no history takes them: older ones are dropped; '0' for all
-- Returns     1 it is recorded; 0 it had not begun, or was recorded before
--
-- The first write is one without the flag `denyoom`: what has happened is recorded on a full server too.

local open, trail = KEYS[1], KEYS[2]

if redis.call('HDEL', open, ARGV[1]) == 0 then return 0 end
if ARGV[3] == '0' then
  redis.call('XADD', trail, '*', 'r', ARGV[2])
else
  redis.call('XADD', trail, 'MAXLEN', '~', ARGV[3], '*', 'r', ARGV[2])
end
return 1
