"""The only package that speaks Redis: keys, scripts, the store over them, connections."""

from millstream_streams.broker import Broker, open_broker
from millstream_streams.connection.address import RedisAddress, parse_redis_url
from millstream_streams.connection.faults import RedisObserver, backoff_s
from millstream_streams.connection.tls import TlsFiles, tls_context
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
from millstream_streams.reading.callbacks import Callbacks
from millstream_streams.reading.consumers import consumer_name
from millstream_streams.reading.demand import ALIVE_FOR, available, demand_of, wanted_workers
from millstream_streams.reading.event_feed import EventFeed
from millstream_streams.reading.event_lag import EventLag, Lag
from millstream_streams.reading.listing import LISTABLE_STATES, Listing
from millstream_streams.reading.live_feed import LIVE_KEPT_S, LiveFeed, Resumption
from millstream_streams.reading.ready_reader import MAX_BLOCK_S, ReadyReader
from millstream_streams.reading.registrations import Registered, Registrations, Start, digest_of
from millstream_streams.reading.registry import Registry
from millstream_streams.reading.rounds import for_each_queue
from millstream_streams.reading.schedules import DUE_LEASE_S, START_LEASE_S, Schedules, next_turn
from millstream_streams.reading.snapshots import Snapshots
from millstream_streams.reading.stored_jobs import Gap, StoredJobs
from millstream_streams.reading.stored_schedules import (
    DecidedStart,
    DueSchedule,
    DueSchedules,
    IndexLine,
    ScheduleChange,
    StoredSchedule,
    TakenStarts,
    backfill_name,
    is_backfill,
    schedule_of,
)
from millstream_streams.reading.totals import sum_depths
from millstream_streams.reading.views import JobViews, StoredSpec
from millstream_streams.store.assembly import assemble, with_payload
from millstream_streams.store.clock import RedisClock
from millstream_streams.store.deliveries import (
    ActionCode,
    Blocked,
    Claim,
    Commit,
    CommitCode,
    Delivery,
    Depths,
    Durability,
    Edge,
    EnqueueCode,
    Enqueued,
    Expiry,
    Idempotency,
    Lease,
    LeaseCode,
    NewJob,
    News,
    NewSpec,
    Parents,
    ReadEntry,
    RecoveredJob,
    Recovery,
    Release,
    ResolveCode,
    StackRequest,
    Told,
)
from millstream_streams.store.job_store import CONFIRM_WITHIN_S, FROM_THE_START, JobStore
from millstream_streams.store.keys import HISTORY_GROUP, SCHEDULES_TYPE, WEBHOOKS_GROUP
from millstream_streams.suitability.capabilities import Capabilities
from millstream_streams.suitability.clock_check import ClockReading
from millstream_streams.suitability.needs import ANY_SERVICE, NEEDS, Needs
from millstream_streams.suitability.rights import Rights
from millstream_streams.suitability.topology import Server, Topology
from millstream_streams.suitability.vitals import Vitals

__all__ = [
    "ALIVE_FOR",
    "ANY_SERVICE",
    "CONFIRM_WITHIN_S",
    "DUE_LEASE_S",
    "FROM_THE_START",
    "HISTORY_GROUP",
    "LISTABLE_STATES",
    "LIVE_KEPT_S",
    "MAX_BLOCK_S",
    "NEEDS",
    "SCHEDULES_TYPE",
    "START_LEASE_S",
    "WEBHOOKS_GROUP",
    "ActionCode",
    "Blocked",
    "Broker",
    "Callbacks",
    "Capabilities",
    "Claim",
    "ClockReading",
    "Commit",
    "CommitCode",
    "CursorError",
    "DecidedStart",
    "Delivery",
    "Depths",
    "DueSchedule",
    "DueSchedules",
    "Durability",
    "Edge",
    "EnqueueCode",
    "Enqueued",
    "EventFeed",
    "EventLag",
    "Expiry",
    "Gap",
    "Idempotency",
    "IndexLine",
    "JobStore",
    "JobViews",
    "Lag",
    "Lease",
    "LeaseCode",
    "Listing",
    "LiveFeed",
    "MissingRightError",
    "Needs",
    "NewJob",
    "NewSpec",
    "News",
    "NotDurableError",
    "Parents",
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
    "ResolveCode",
    "Resumption",
    "Rights",
    "ScheduleChange",
    "Schedules",
    "Server",
    "Snapshots",
    "StackRequest",
    "Start",
    "StoreBusyError",
    "StoreError",
    "StoreFullError",
    "StoreUnavailableError",
    "StoredJobs",
    "StoredSchedule",
    "StoredSpec",
    "TakenStarts",
    "TlsFiles",
    "Told",
    "Topology",
    "UnsuitableRedisError",
    "Vitals",
    "WrongServerError",
    "assemble",
    "available",
    "backfill_name",
    "backoff_s",
    "consumer_name",
    "demand_of",
    "digest_of",
    "for_each_queue",
    "is_backfill",
    "next_turn",
    "open_broker",
    "parse_redis_url",
    "schedule_of",
    "sum_depths",
    "tls_context",
    "wanted_workers",
    "with_payload",
]
