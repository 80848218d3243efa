"""What crosses a process boundary, as msgspec Structs. No I/O happens here."""

from millstream_contracts.callback import ENDS, LAST_EVENTS, MAX_URL_CHARS, Callback, JobEvent
from millstream_contracts.count import CountRelation, JobCount
from millstream_contracts.dead import (
    ActionReport,
    ActionResult,
    DeadJob,
    DeadLetter,
    DeadLetterAction,
    DeadLetterPage,
)
from millstream_contracts.decoding import UNDECODABLE
from millstream_contracts.event import Event, EventKind, JobTransition, LiveEvent, QueueEvents
from millstream_contracts.fleet import Demand, QueueStatus, RunningJob, ServiceInfo, WorkerInfo
from millstream_contracts.foreseen import ForeseenError
from millstream_contracts.ids import (
    DEFAULT_TENANT,
    NAME_PATTERN,
    PUBLISHED_NAME_PATTERN,
    JobId,
    JobType,
    Queue,
    Tenant,
    made_at_ms,
    new_job_id,
    queue_of,
)
from millstream_contracts.incident import Incident, OpenIncident
from millstream_contracts.job import (
    NO_TIME,
    TERMINAL_STATES,
    Job,
    JobError,
    JobSource,
    JobSpec,
    JobStack,
    JobState,
    Page,
    Priority,
    Progress,
    made_at,
    moment,
)
from millstream_contracts.one_line import one_line
from millstream_contracts.outcome import (
    Cancelled,
    Dead,
    HandedBack,
    Outcome,
    RetryAt,
    Snoozed,
    Succeeded,
)
from millstream_contracts.policy import DEFAULT_MAX_ATTEMPTS, Backoff, BackoffOptions, TypePolicy, TypeRegistration
from millstream_contracts.problem import FieldError, Problem, told
from millstream_contracts.receipt import BatchItem, BatchReceipt
from millstream_contracts.search import DeadGroup, DeadGroups, DeadSample, SearchHint, SearchHints
from millstream_contracts.statistics import StatGap, StatPoint, Stats
from millstream_contracts.submission import Batch, Submission
from millstream_contracts.suggestion import did_you_mean
from millstream_contracts.text_formats import BASE64_PATTERN, TEXT_FORMATS
from millstream_contracts.timeline import Timeline, TimelineAttempt, TimelineItem
from millstream_contracts.webhook import NewWebhook, SecretWebhook, Webhook, WebhookChange, WebhookSecret

__all__ = [
    "BASE64_PATTERN",
    "DEFAULT_MAX_ATTEMPTS",
    "DEFAULT_TENANT",
    "ENDS",
    "LAST_EVENTS",
    "MAX_URL_CHARS",
    "NAME_PATTERN",
    "NO_TIME",
    "PUBLISHED_NAME_PATTERN",
    "TERMINAL_STATES",
    "TEXT_FORMATS",
    "UNDECODABLE",
    "ActionReport",
    "ActionResult",
    "Backoff",
    "BackoffOptions",
    "Batch",
    "BatchItem",
    "BatchReceipt",
    "Callback",
    "Cancelled",
    "CountRelation",
    "Dead",
    "DeadGroup",
    "DeadGroups",
    "DeadJob",
    "DeadLetter",
    "DeadLetterAction",
    "DeadLetterPage",
    "DeadSample",
    "Demand",
    "Event",
    "EventKind",
    "FieldError",
    "ForeseenError",
    "HandedBack",
    "Incident",
    "Job",
    "JobCount",
    "JobError",
    "JobEvent",
    "JobId",
    "JobSource",
    "JobSpec",
    "JobStack",
    "JobState",
    "JobTransition",
    "JobType",
    "LiveEvent",
    "NewWebhook",
    "OpenIncident",
    "Outcome",
    "Page",
    "Priority",
    "Problem",
    "Progress",
    "Queue",
    "QueueEvents",
    "QueueStatus",
    "RetryAt",
    "RunningJob",
    "SearchHint",
    "SearchHints",
    "SecretWebhook",
    "ServiceInfo",
    "Snoozed",
    "StatGap",
    "StatPoint",
    "Stats",
    "Submission",
    "Succeeded",
    "Tenant",
    "Timeline",
    "TimelineAttempt",
    "TimelineItem",
    "TypePolicy",
    "TypeRegistration",
    "Webhook",
    "WebhookChange",
    "WebhookSecret",
    "WorkerInfo",
    "did_you_mean",
    "made_at",
    "made_at_ms",
    "moment",
    "new_job_id",
    "one_line",
    "queue_of",
    "told",
]
