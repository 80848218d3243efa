"""The rights that each service needs on Redis: its commands, keys and channels.

deploy/redis/users.acl grants them, to one user per service. A test compares the two with the code.
"""

from collections.abc import Mapping

from msgspec import Struct

CONNECTING = frozenset({"client|setname", "info", "ping", "select"})
"""The commands of every connection; SELECT is sent for a database other than 0."""

SCRIPTING = frozenset({"eval", "evalsha"})

ON_A_CLUSTER = frozenset({"asking", "cluster|nodes", "cluster|slots", "command"})


class Needs(Struct, frozen=True, kw_only=True):
    """The rights that a service uses. Commands are named as an ACL names them: `xgroup|create`."""

    commands: frozenset[str]
    """The commands on keys, in scripts or alone."""
    registry: tuple[str, ...] = ()
    """The keys that belong to no queue, by their names in `Keys`."""
    tells: tuple[str, ...] = ()
    """The topics of hints that the service publishes."""
    hears: tuple[str, ...] = ()
    """The topics that the service subscribes to."""
    extras: Mapping[str, str] = {}
    """Commands without which an optional part is missing, and that part."""


def _commands(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOVING = _commands("hmget hset pexpire time xack xadd xdel xrange")
"""The commands by which any service moves jobs."""

_BEATING = _commands("hdel hset time")
"""The commands of a heartbeat."""

NEEDS: Mapping[str, Needs] = {
    "ingest": Needs(
        commands=_MOVING
        | _BEATING
        | _commands(
            "exists get hdel hget hgetall hlen sadd set smembers xgroup|create xinfo|groups xlen xpending xread"
        )
        | _commands("xrevrange zadd zcard zcount zrange zrangebyscore zrem"),
        registry=("queues", "schedules", "types", "starts", "workers", "services", "callbacks", "incidents"),
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
        | _commands("exists get hdel hexists hget hgetall hkeys hsetnx sadd set smembers xclaim xgroup|create")
        | _commands("xinfo|groups xpending xreadgroup zadd zrange zrem zremrangebyscore"),
        registry=("queues", "schedules", "types", "starts", "workers", "services", "callbacks"),
        tells=("due", "settled", "cancel:"),
        hears=("cancel:",),
        extras=dict.fromkeys(("client|list", "client|unblock"), "an idle worker takes up to two seconds to stop"),
    ),
    "dispatcher": Needs(
        commands=_MOVING
        | _BEATING
        | _commands(
            "exists get hexists hget hgetall hsetnx sadd scan set smembers xautoclaim xgroup|create"
            " xgroup|destroy xinfo|groups xlen"
        )
        | _commands("xreadgroup")
        | _commands("zadd zcard zcount zrange zrangebyscore zrem"),
        registry=("queues", "schedules", "types", "starts", "workers", "services", "callbacks", "incidents", "notices"),
        tells=("due", "settled", "cancel:"),
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
"""The needs of each service."""

ANY_SERVICE = Needs(commands=_MOVING, registry=("queues",), tells=("settled",))
"""The needs that all services share: `doctor` tries them where no service is named."""
