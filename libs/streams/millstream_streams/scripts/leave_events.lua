-- Remove the group that reads events for webhooks, unless a job of the queue has a callback.
--
-- Caller      dispatchers, where no endpoint wants events of the queue
-- Idempotent  yes
-- Needs       queue callbacks
-- KEYS        6 as in _queue.lua, written
-- Returns     1 there is no group any more; 0 a job has a callback

if redis.call('EXISTS', callbacks_key()) == 1 then return 0 end
if redis.call('EXISTS', events) == 1 then redis.call('XGROUP', 'DESTROY', events, WEBHOOKS) end
return 1
