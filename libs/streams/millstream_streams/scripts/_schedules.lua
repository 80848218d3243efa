-- Part `schedules`: the keys of one shard of schedules. Needs nothing.
--
-- KEYS[1]     zset    ticks: a name by the Unix ms at which it is looked at next
-- KEYS[2]     hash    index: a name to what lists show and choose by: its state, its owner, the type of its jobs
-- KEYS[3]     zset    outbox: the id of a job that is to be stored, by the Unix ms from which a dispatcher may take it
-- KEYS[4]     hash    starts: such an id to `<name> <nominal Unix ms> <Unix ms of the decision>`, a line feed, and the
--                     submission (MessagePack)
-- KEYS[5]     none    never: as in _queue.lua
-- ARGV[1]     string  prefix of the keys of the hashes of schedules, `<namespace>:{<tag>}:sched:`
--
-- A name is that of a schedule, or `<schedule> <id>` of a backfill. Its hash has a `turn`, which grows with each change:
-- a change names the turn that its author has read, so of two that have read the same one wins.

local ticks, name_index, outbox, decisions = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local schedule_prefix = ARGV[1]
