"""The only package that speaks Redis: keys, scripts, the store over them, connections."""

from millstream_streams.batches.batches import MAX_PROMISED, PROMISE_LEASE_S, PROMISED_FOR_S, Batches
from millstream_streams.batches.new_batch import NewBatch, NewCallback
from millstream_streams.batches.stored_batch import (
    BatchCheck,
    BatchCreated,
    BatchTask,
    CallbackTask,
    EndTask,
    Member,
    PromiseCode,
    Promised,
    RecordTask,
    StoredBatch,
    TakenBatchTasks,
)
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
from millstream_streams.reading.api_keys import ApiKeys, KeyChange, StoredApiKey, TooManyKeysError
from millstream_streams.reading.audit_trail import AuditTrail, WaitingRecords
from millstream_streams.reading.callbacks import Callbacks
from millstream_streams.reading.consumers import consumer_name
from millstream_streams.reading.data_keys import DataKeys, KeptDataKey, WrappedKeys
from millstream_streams.reading.demand import ALIVE_FOR, available, demand_of, takers_of, wanted_workers
from millstream_streams.reading.event_feed import EventFeed
from millstream_streams.reading.event_lag import EventLag, Lag
from millstream_streams.reading.lanes import LaneKey, LaneReader, Place
from millstream_streams.reading.listing import LISTABLE_STATES, Listing
from millstream_streams.reading.live_feed import LIVE_KEPT_S, LiveFeed, Resumption
from millstream_streams.reading.rate_tokens import RateTokens, TokenGrant, TokenRequest
from millstream_streams.reading.ready_reader import MAX_BLOCK_S, ReadyReader
from millstream_streams.reading.registrations import ALL_TENANTS, Registered, Registrations, Start, digest_of
from millstream_streams.reading.registry import Registry
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
from millstream_streams.reading.templates import StoredTemplate, Templates
from millstream_streams.reading.tenant_remains import TenantRemains
from millstream_streams.reading.tenants import StoredTenant, Tenants, TooManyTenantsError
from millstream_streams.reading.totals import sum_depths
from millstream_streams.reading.views import JobViews, StoredSpec
from millstream_streams.store.assembly import assemble
from millstream_streams.store.budget_dealer import BudgetDealer
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
    NodeRef,
    Parents,
    ReadEntry,
    RecoveredJob,
    Recovery,
    Release,
    ResolveCode,
    SignalCode,
    StackRequest,
    Told,
    UniqueKey,
)
from millstream_streams.store.dependency_store import DependencyStore
from millstream_streams.store.flow_shards import (
    BATCH_KIND,
    CHECK_AGAIN_S,
    START_WITHIN_S,
    TASK_LEASE_S,
    WORKFLOW_KIND,
    FlowKind,
)
from millstream_streams.store.flow_values import CreateCode, FlowNews, read_news
from millstream_streams.store.job_store import CONFIRM_WITHIN_S, FROM_THE_START, STORED_WITHIN_S, JobStore
from millstream_streams.store.keys import BATCHES_TYPE, HISTORY_GROUP, SCHEDULES_TYPE, WEBHOOKS_GROUP, WORKFLOWS_TYPE
from millstream_streams.store.queue_scripts import QueueScripts, in_calls
from millstream_streams.store.rounds import for_each_queue
from millstream_streams.store.settings_store import SettingsStore, SplitLimits, StoredSettings
from millstream_streams.store.specs import coded_field, opened, read_value, with_payload
from millstream_streams.store.step_store import StepStore
from millstream_streams.store.tenant_quotas import NotedQuota, QuotaPart, TenantQuotas
from millstream_streams.suitability.capabilities import Capabilities
from millstream_streams.suitability.clock_check import ClockReading
from millstream_streams.suitability.needs import ANY_SERVICE, NEEDS, Needs
from millstream_streams.suitability.rights import Rights
from millstream_streams.suitability.topology import Server, Topology
from millstream_streams.suitability.vitals import Vitals
from millstream_streams.workflows.new_workflow import NewNode, NewWorkflow
from millstream_streams.workflows.stored_workflow import (
    NodeTask,
    RerunCode,
    StoredItems,
    StoredNode,
    StoredWorkflow,
    TakenEnds,
    TakenTasks,
    TaskKind,
    WorkflowCreated,
    job_id_of,
)
from millstream_streams.workflows.workflows import AWAITED_S, Workflows

__all__ = [
    "ALIVE_FOR",
    "ALL_TENANTS",
    "ANY_SERVICE",
    "AWAITED_S",
    "BATCHES_TYPE",
    "BATCH_KIND",
    "CHECK_AGAIN_S",
    "CONFIRM_WITHIN_S",
    "DUE_LEASE_S",
    "FROM_THE_START",
    "HISTORY_GROUP",
    "LISTABLE_STATES",
    "LIVE_KEPT_S",
    "MAX_BLOCK_S",
    "MAX_PROMISED",
    "NEEDS",
    "PROMISED_FOR_S",
    "PROMISE_LEASE_S",
    "SCHEDULES_TYPE",
    "START_LEASE_S",
    "START_WITHIN_S",
    "STORED_WITHIN_S",
    "TASK_LEASE_S",
    "WEBHOOKS_GROUP",
    "WORKFLOWS_TYPE",
    "WORKFLOW_KIND",
    "ActionCode",
    "ApiKeys",
    "AuditTrail",
    "BatchCheck",
    "BatchCreated",
    "BatchTask",
    "Batches",
    "Blocked",
    "Broker",
    "BudgetDealer",
    "CallbackTask",
    "Callbacks",
    "Capabilities",
    "Claim",
    "ClockReading",
    "Commit",
    "CommitCode",
    "CreateCode",
    "CursorError",
    "DataKeys",
    "DecidedStart",
    "Delivery",
    "DependencyStore",
    "Depths",
    "DueSchedule",
    "DueSchedules",
    "Durability",
    "Edge",
    "EndTask",
    "EnqueueCode",
    "Enqueued",
    "EventFeed",
    "EventLag",
    "Expiry",
    "FlowKind",
    "FlowNews",
    "Gap",
    "Idempotency",
    "IndexLine",
    "JobStore",
    "JobViews",
    "KeptDataKey",
    "KeyChange",
    "Lag",
    "LaneKey",
    "LaneReader",
    "Lease",
    "LeaseCode",
    "Listing",
    "LiveFeed",
    "Member",
    "MissingRightError",
    "Needs",
    "NewBatch",
    "NewCallback",
    "NewJob",
    "NewNode",
    "NewSpec",
    "NewWorkflow",
    "News",
    "NodeRef",
    "NodeTask",
    "NotDurableError",
    "NotedQuota",
    "Parents",
    "Place",
    "PromiseCode",
    "Promised",
    "QueueScripts",
    "QuotaPart",
    "RateTokens",
    "ReadEntry",
    "ReadyReader",
    "Reason",
    "RecordTask",
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
    "RerunCode",
    "ResolveCode",
    "Resumption",
    "Rights",
    "ScheduleChange",
    "Schedules",
    "Server",
    "SettingsStore",
    "SignalCode",
    "Snapshots",
    "SplitLimits",
    "StackRequest",
    "Start",
    "StepStore",
    "StoreBusyError",
    "StoreError",
    "StoreFullError",
    "StoreUnavailableError",
    "StoredApiKey",
    "StoredBatch",
    "StoredItems",
    "StoredJobs",
    "StoredNode",
    "StoredSchedule",
    "StoredSettings",
    "StoredSpec",
    "StoredTemplate",
    "StoredTenant",
    "StoredWorkflow",
    "TakenBatchTasks",
    "TakenEnds",
    "TakenStarts",
    "TakenTasks",
    "TaskKind",
    "Templates",
    "TenantQuotas",
    "TenantRemains",
    "Tenants",
    "TlsFiles",
    "TokenGrant",
    "TokenRequest",
    "Told",
    "TooManyKeysError",
    "TooManyTenantsError",
    "Topology",
    "UniqueKey",
    "UnsuitableRedisError",
    "Vitals",
    "WaitingRecords",
    "WorkflowCreated",
    "Workflows",
    "WrappedKeys",
    "WrongServerError",
    "assemble",
    "available",
    "backfill_name",
    "backoff_s",
    "coded_field",
    "consumer_name",
    "demand_of",
    "digest_of",
    "for_each_queue",
    "in_calls",
    "is_backfill",
    "job_id_of",
    "next_turn",
    "open_broker",
    "opened",
    "parse_redis_url",
    "read_news",
    "read_value",
    "schedule_of",
    "sum_depths",
    "takers_of",
    "tls_context",
    "wanted_workers",
    "with_payload",
]
