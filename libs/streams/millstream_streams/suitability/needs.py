"""What each service needs to be allowed on Redis: its commands, keys and channels.

deploy/redis/users.acl grants it, to one user per service. A test holds the two and the code together.
"""

from collections.abc import Mapping

from msgspec import Struct

CONNECTING = frozenset({"client|setname", "info", "ping", "select"})
"""What every connection sends, or may: SELECT goes out for a database other than 0."""

SCRIPTING = frozenset({"eval", "evalsha"})

ON_A_CLUSTER = frozenset({"asking", "cluster|nodes", "cluster|slots", "command"})


class Needs(Struct, frozen=True, kw_only=True):
    """What a service does on Redis. Commands are named as an ACL names them: `xgroup|create`."""

    commands: frozenset[str]
    """On keys, by scripts or without."""
    registry: tuple[str, ...] = ()
    """Keys beside those of queues, as `Keys` calls them."""
    tells: tuple[str, ...] = ()
    """Topics of hints that it publishes."""
    hears: tuple[str, ...] = ()
    """Topics that it subscribes to."""
    extras: Mapping[str, str] = {}
    """Commands without which a part is missing, and the part."""


def _commands(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOVING = _commands("hmget hset pexpire time xack xadd xdel xrange")
"""By these any service moves jobs."""

_BEATING = _commands("hdel hset time")
"""By these a process says that it is alive."""

NEEDS: Mapping[str, Needs] = {
    "ingest": Needs(
        commands=_MOVING
        | _BEATING
        | _commands("exists get hdel hget hgetall sadd set smembers xinfo|groups xlen xpending xrevrange")
        | _commands("zadd zcard zcount zrange zrangebyscore zrem"),
        registry=("queues", "types", "starts", "workers", "services"),
        tells=("due", "settled", "cancel:"),
        hears=("settled",),
        extras={
            "wait": "`Prefer: durability=replicated` is never confirmed",
            "waitaof": "`Prefer: durability=fsynced` is never confirmed",
        },
    ),
    "worker": Needs(
        commands=_MOVING
        | _BEATING
        | _commands("exists get hdel hexists hget hgetall hkeys hsetnx sadd set smembers xclaim xgroup|create xpending")
        | _commands("xreadgroup zadd zrange zrem zremrangebyscore"),
        registry=("queues", "types", "starts", "workers", "services"),
        tells=("due", "settled"),
        hears=("cancel:",),
        extras=dict.fromkeys(("client|list", "client|unblock"), "an idle worker takes up to two seconds to stop"),
    ),
    "dispatcher": Needs(
        commands=_MOVING
        | _BEATING
        | _commands("hget hgetall smembers xautoclaim xgroup|create xinfo|groups xlen xreadgroup")
        | _commands("zadd zcard zcount zrange zrangebyscore zrem"),
        registry=("queues", "workers", "services"),
        tells=("settled",),
        hears=("due",),
    ),
    "reaper": Needs(
        commands=_MOVING
        | _BEATING
        | _commands("exists hdel hgetall smembers xautoclaim xgroup|delconsumer xinfo|consumers xinfo|groups")
        | _commands("xpending xtrim zrange zrem zremrangebyscore"),
        registry=("queues", "types", "starts", "workers", "services"),
        tells=("settled",),
    ),
}
"""By service."""

ANY_SERVICE = Needs(commands=_MOVING, registry=("queues",), tells=("settled",))
"""What all services have in common: `doctor` tries it where no service is named."""
