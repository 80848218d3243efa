"""The only code that speaks Redis: keys, scripts, the store over them, connections."""

from millstream_streams.address import RedisAddress, parse_redis_url
from millstream_streams.assembly import assemble
from millstream_streams.broker import Broker, open_broker
from millstream_streams.capabilities import Capabilities
from millstream_streams.clock import RedisClock
from millstream_streams.consumers import consumer_name
from millstream_streams.deliveries import (
    ActionCode,
    Claim,
    Commit,
    CommitCode,
    Delivery,
    Depths,
    Durability,
    EnqueueCode,
    Enqueued,
    Expiry,
    Idempotency,
    Lease,
    LeaseCode,
    NewJob,
    ReadEntry,
    RecoveredJob,
    Recovery,
    Release,
)
from millstream_streams.errors import (
    CursorError,
    MissingRightError,
    NotDurableError,
    Reason,
    RedisTlsError,
    RedisUrlError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    UnsuitableRedisError,
    WrongServerError,
)
from millstream_streams.event_feed import EventFeed, Snapshots
from millstream_streams.faults import RedisObserver, backoff_s
from millstream_streams.listing import LISTABLE_STATES, Listing
from millstream_streams.needs import ANY_SERVICE, NEEDS, Needs
from millstream_streams.reading import MAX_BLOCK_S, ReadyReader
from millstream_streams.registrations import Registered, Registrations, Start, digest_of
from millstream_streams.registry import Registry
from millstream_streams.rights import Rights
from millstream_streams.rounds import for_each_queue
from millstream_streams.store import CONFIRM_WITHIN_S, FROM_THE_START, JobStore
from millstream_streams.tls import TlsFiles, tls_context
from millstream_streams.topology import Server, Topology
from millstream_streams.totals import sum_depths
from millstream_streams.views import JobViews

__all__ = [
    "ANY_SERVICE",
    "CONFIRM_WITHIN_S",
    "FROM_THE_START",
    "LISTABLE_STATES",
    "MAX_BLOCK_S",
    "NEEDS",
    "ActionCode",
    "Broker",
    "Capabilities",
    "Claim",
    "Commit",
    "CommitCode",
    "CursorError",
    "Delivery",
    "Depths",
    "Durability",
    "EnqueueCode",
    "Enqueued",
    "EventFeed",
    "Expiry",
    "Idempotency",
    "JobStore",
    "JobViews",
    "Lease",
    "LeaseCode",
    "Listing",
    "MissingRightError",
    "Needs",
    "NewJob",
    "NotDurableError",
    "ReadEntry",
    "ReadyReader",
    "Reason",
    "RecoveredJob",
    "Recovery",
    "RedisAddress",
    "RedisClock",
    "RedisObserver",
    "RedisTlsError",
    "RedisUrlError",
    "Registered",
    "Registrations",
    "Registry",
    "Release",
    "Rights",
    "Server",
    "Snapshots",
    "Start",
    "StoreBusyError",
    "StoreError",
    "StoreFullError",
    "StoreUnavailableError",
    "TlsFiles",
    "Topology",
    "UnsuitableRedisError",
    "WrongServerError",
    "assemble",
    "backoff_s",
    "consumer_name",
    "digest_of",
    "for_each_queue",
    "open_broker",
    "parse_redis_url",
    "sum_depths",
    "tls_context",
]
