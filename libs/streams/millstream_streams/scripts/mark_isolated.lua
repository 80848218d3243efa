-- Mark deliveries that wait in their worker's hands until they can run alone, or take the mark off as they start.
--
-- Caller      workers, for jobs on their last crash
-- Idempotent  yes
-- Needs       queue
-- KEYS        none but the hashes of the jobs
-- ARGV[2]     '1': they wait; '': they start
-- ARGV[3..]   per job two values: job id, token
-- Returns     per job: 1 done; 0 it is another delivery's by now, or gone
--
-- `recover` charges no crash to a job that only waited: its worker was brought down by something else. The mark, field
-- `apart`, is taken off by HDEL alone, a first write that a full Redis takes too: a job that keeps it is never buried.

local replies = {}

for at = 3, #ARGV, 2 do
  local key, token = jobs .. ARGV[at], ARGV[at + 1]
  local state, held = unpack(redis.call('HMGET', key, 'state', 'token'))
  local is_ours = state == 'running' and held == token -- @bug:no-fence
  if is_ours and ARGV[2] == '1' then
    redis.call('HSET', key, 'apart', token)
  elseif is_ours then
    redis.call('HDEL', key, 'apart')
  end
  replies[#replies + 1] = is_ours and 1 or 0
end
return replies
