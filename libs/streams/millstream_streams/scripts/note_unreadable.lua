-- Note that a release cannot read a job: it is buried once each release that handles its type has tried.
--
-- Caller      workers, while another release runs beside theirs
-- Idempotent  yes
-- Needs       queue
-- KEYS        none but the hashes of the jobs
-- ARGV[2]     job id
-- ARGV[3]     token
-- ARGV[4]     digest of the registration of this release
-- Returns     the digests of all registrations whose releases could not read it, with a space between them; '' when
--             the job is another delivery's by now, or gone

local key, token, digest = jobs .. ARGV[2], ARGV[3], ARGV[4]
local state, held, unread_by = unpack(redis.call('HMGET', key, 'state', 'token', 'unread_by'))
if state ~= 'running' or held ~= token then return '' end
local tried = unread_by or ''
if string.find(' ' .. tried .. ' ', ' ' .. digest .. ' ', 1, true) then return tried end
tried = tried == '' and digest or tried .. ' ' .. digest
redis.call('HSET', key, 'unread_by', tried)
return tried
