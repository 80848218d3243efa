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

_LIMITING = _commands(
    "exists hdel hget hincrby hincrbyfloat hkeys llen lpop lpush lrem rpush sadd scard sismember smembers srem xlen"
    " xinfo|groups xpending zadd zcard zincrby zmscore zrange zrangebyscore zrem zscore"
)
"""The commands by which any service moves jobs of queues with limits."""

_BEATING = _commands("hdel hset time")
"""The commands of a heartbeat."""

_SUBMITTING = ("queues", "dormant", "schedules", "types", "starts", "workers", "services", "callbacks")
"""What every service uses of the registry that submits jobs."""

_AUDITING = ("audit_open", "audit_trail", "audit_heads")

NEEDS: Mapping[str, Needs] = {
    "ingest": Needs(
        commands=_MOVING
        | _LIMITING
        | _BEATING
        | _commands(
            "exists get hdel hget hgetall hincrby hlen hscan hstrlen lindex lpos lrange sadd scard set setbit sismember"
            " smembers srem xgroup|create xinfo|groups xlen xpending xread xrevrange"
        )
        | _commands("zadd zcard zcount zmscore zrange zrangebyscore zrem zremrangebyscore zscore"),
        registry=(
            *_SUBMITTING,
            "workflows",
            "batches",
            "incidents",
            "api_keys",
            "sessions",
            "api_key_uses",
            "rates",
            "data_keys",
            "tenants",
            *_AUDITING,
        ),
        tells=("due", "outbox", "settled", "cancel:", "keys", "queues"),
        hears=("settled", "keys"),
        extras={
            "wait": "`Prefer: durability=replicated` is never confirmed",
            "waitaof": "`Prefer: durability=fsynced` is never confirmed",
        },
    ),
    "worker": Needs(
        commands=_MOVING
        | _LIMITING
        | _BEATING
        | _commands("exists get hdel hexists hget hgetall hkeys hsetnx sadd scard set sismember smembers srem xclaim")
        | _commands("xgroup|create xinfo|groups xpending xreadgroup zadd zcard zmscore zrange zrem")
        | _commands("zremrangebyscore zscore"),
        registry=(*_SUBMITTING, "data_keys", "tenants"),
        tells=("due", "outbox", "settled", "cancel:", "queues"),
        hears=("cancel:", "queues"),
        extras=dict.fromkeys(("client|list", "client|unblock"), "an idle worker takes up to two seconds to stop"),
    ),
    "dispatcher": Needs(
        commands=_MOVING
        | _LIMITING
        | _BEATING
        | _commands(
            "exists get hexists hget hgetall hincrby hlen hsetnx hstrlen lindex sadd scan scard set setbit sismember"
            " smembers srem unlink xautoclaim xgroup|create xgroup|destroy xinfo|groups xlen xrevrange"
        )
        | _commands("xreadgroup")
        | _commands("zadd zcard zcount zmscore zrange zrangebyscore zrem zscore"),
        registry=(
            *_SUBMITTING,
            "workflows",
            "batches",
            "incidents",
            "notices",
            "api_keys",
            "sessions",
            "api_key_uses",
            "data_keys",
            "tenants",
            *_AUDITING,
        ),
        tells=("due", "outbox", "settled", "cancel:", "keys", "queues"),
        hears=("due", "outbox"),
    ),
    "reaper": Needs(
        commands=_MOVING
        | _LIMITING
        | _BEATING
        | _commands("exists get hdel hgetall smembers xautoclaim xgroup|delconsumer xinfo|consumers xinfo|groups")
        | _commands("xpending xtrim zadd zrange zrem zremrangebyscore"),
        registry=("queues", "types", "starts", "workers", "services"),
        tells=("due", "outbox", "settled"),
    ),
}
"""The needs of each service."""

ANY_SERVICE = Needs(commands=_MOVING, registry=("queues",), tells=("settled",))
"""The needs that all services share: `doctor` tries them where no service is named."""
