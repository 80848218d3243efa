-- Try commands on a queue that has no jobs, each in a form that changes nothing, and say which are refused.
--
-- Caller      every service at its start, ingest once a second, `millstream doctor`
-- Idempotent  yes
-- Needs       queue
-- KEYS        1-4 as in _queue.lua, written and empty again
-- ARGV[2..]   names of commands as an ACL has them, `xgroup|create`
-- Returns     the names of those that the user may not call, `xack` among them though it is not asked for
--
-- A command is refused before it looks at its keys and arguments, so an error about those is a yes.
-- XACK comes first and always: it writes, so a replica refuses it, and needs no memory, so a full Redis does not.

local stream = ready[1]

local forms = {
  ['exists'] = {'EXISTS', due},
  ['get'] = {'GET', due},
  ['hdel'] = {'HDEL', due, 'none'},
  ['hexists'] = {'HEXISTS', due, 'none'},
  ['hget'] = {'HGET', due, 'none'},
  ['hgetall'] = {'HGETALL', due},
  ['hincrby'] = {'HINCRBY', due, 'none', 'no number'},
  ['hincrbyfloat'] = {'HINCRBYFLOAT', due, 'none', 'no number'},
  ['hkeys'] = {'HKEYS', due},
  ['hlen'] = {'HLEN', due},
  ['hmget'] = {'HMGET', due, 'none'},
  ['hscan'] = {'HSCAN', due, '0', 'COUNT', '1'},
  ['hset'] = {'HSET', due, 'a field', 'a value', 'a field without one'},
  ['hsetnx'] = {'HSETNX', due, 'none', ''},
  ['hstrlen'] = {'HSTRLEN', due, 'none'},
  ['lindex'] = {'LINDEX', due, '0'},
  ['llen'] = {'LLEN', due},
  ['lpop'] = {'LPOP', due},
  ['lpos'] = {'LPOS', due, 'none'},
  ['lpush'] = {'LPUSH', due, 'none'},
  ['lrange'] = {'LRANGE', due, '0', '0'},
  ['lrem'] = {'LREM', due, '0', 'none'},
  ['pexpire'] = {'PEXPIRE', due, '-1'},
  ['rpush'] = {'RPUSH', due, 'none'},
  ['sadd'] = {'SADD', due, 'none'},
  ['scan'] = {'SCAN', '0', 'COUNT', '1'},
  ['scard'] = {'SCARD', due},
  ['set'] = {'SET', due, 'none', 'XX', 'PX', '1'},
  ['setbit'] = {'SETBIT', due, 'no number', '0'},
  ['sismember'] = {'SISMEMBER', due, 'none'},
  ['smembers'] = {'SMEMBERS', due},
  ['srem'] = {'SREM', due, 'none'},
  ['time'] = {'TIME'},
  ['unlink'] = {'UNLINK', due},
  ['xadd'] = {'XADD', stream, 'NOMKSTREAM', '*', 'id', ''},
  ['xautoclaim'] = {'XAUTOCLAIM', stream, GROUP, 'none', '1', '0-0', 'JUSTID'},
  ['xclaim'] = {'XCLAIM', stream, GROUP, 'none', '1', '0-1', 'JUSTID'},
  ['xdel'] = {'XDEL', stream, '0-1'},
  ['xgroup|create'] = {'XGROUP', 'CREATE', stream, GROUP, '0'},
  ['xgroup|delconsumer'] = {'XGROUP', 'DELCONSUMER', stream, GROUP, 'none'},
  ['xgroup|destroy'] = {'XGROUP', 'DESTROY', stream, GROUP},
  ['xinfo|consumers'] = {'XINFO', 'CONSUMERS', stream, GROUP},
  ['xinfo|groups'] = {'XINFO', 'GROUPS', stream},
  ['xlen'] = {'XLEN', stream},
  ['xpending'] = {'XPENDING', stream, GROUP},
  ['xrange'] = {'XRANGE', stream, '-', '+', 'COUNT', '1'},
  ['xread'] = {'XREAD', 'COUNT', '1', 'STREAMS', stream, '0'},
  ['xreadgroup'] = {'XREADGROUP', 'GROUP', GROUP, 'none', 'COUNT', '1', 'STREAMS', stream, '>'},
  ['xrevrange'] = {'XREVRANGE', stream, '+', '-', 'COUNT', '1'},
  ['xtrim'] = {'XTRIM', stream, 'MAXLEN', '0'},
  ['zadd'] = {'ZADD', due, 'XX', '0', 'none'},
  ['zcard'] = {'ZCARD', due},
  ['zcount'] = {'ZCOUNT', due, '0', '0'},
  ['zincrby'] = {'ZINCRBY', due, 'no number', 'none'},
  ['zmscore'] = {'ZMSCORE', due, 'none'},
  ['zrange'] = {'ZRANGE', due, '0', '0'},
  ['zrangebyscore'] = {'ZRANGEBYSCORE', due, '0', '0'},
  ['zrem'] = {'ZREM', due, 'none'},
  ['zremrangebyscore'] = {'ZREMRANGEBYSCORE', due, '0', '0'},
  ['zscore'] = {'ZSCORE', due, 'none'},
}

local function is_refused(reply)
  local text = type(reply) == 'table' and reply.err or ''
  return string.find(text, 'permissions to', 1, true) or string.find(text, 'The user executing the script', 1, true)
end

local refused = {}
local first = redis.pcall('XACK', stream, GROUP, '0-1')
if is_refused(first) then
  refused[1] = 'xack'
elseif type(first) == 'table' then
  return first
end
for _, name in ipairs({unpack(ARGV, 2)}) do
  if is_refused(redis.pcall(unpack(forms[name]))) then refused[#refused + 1] = name end
  -- Nothing else makes anything.
  if name == 'sadd' or name == 'hsetnx' or name == 'lpush' or name == 'rpush' then redis.pcall('PEXPIRE', due, '-1') end
end
return refused
