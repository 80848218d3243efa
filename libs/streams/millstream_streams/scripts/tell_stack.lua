-- Put where a handler is, for the request that has asked.
--
-- Caller      workers
-- Idempotent  yes
-- Needs       queue
-- KEYS        none but the hash of the job, and the key of the answer
-- ARGV[2]     job id
-- ARGV[3]     token of the delivery
-- ARGV[4]     key of the answer
-- ARGV[5]     the answer
-- ARGV[6]     ms for which it can be read
-- Returns     1 done; 0 the job is another delivery's by now, or gone

local state, held = unpack(redis.call('HMGET', jobs .. ARGV[2], 'state', 'token'))
if state ~= 'running' or held ~= ARGV[3] then return 0 end
redis.call('SET', ARGV[4], ARGV[5], 'PX', ARGV[6])
return 1
