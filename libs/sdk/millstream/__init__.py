"""Millstream: write handlers, submit jobs.

`App` and its decorator register handlers; `Client` and `SyncClient` submit jobs of them. Everything that users import
is here; `millstream.handlers` has the built-in handlers.
"""

from millstream.app import App
from millstream.client import Client, SyncClient
from millstream.context import Context, SyncContext
from millstream.errors import (
    ApiError,
    ConflictError,
    HandlerError,
    InvalidError,
    JobFailedError,
    JobNotFoundError,
    LifespanError,
    MillstreamError,
    NotBoundError,
    ResultError,
    UnavailableError,
    WaitTimeoutError,
)
from millstream.handler import Handler
from millstream.job_options import JobOptions
from millstream.jobs import JobHandle, JobRef, NewJob, SubmitOptions, SyncJobHandle, contract
from millstream.steering import Dead, Discard, Retry, RetryAfter, Snooze, Steering
from millstream_contracts import (
    ActionReport,
    BatchReceipt,
    Callback,
    DeadGroup,
    DeadGroups,
    DeadJob,
    DeadLetter,
    DeadLetterPage,
    Demand,
    Job,
    JobEvent,
    JobStack,
    JobState,
    LiveEvent,
    OpenIncident,
    Page,
    Progress,
    QueueStatus,
    SecretWebhook,
    StatPoint,
    Stats,
    Timeline,
    TimelineAttempt,
    TimelineItem,
    TypeRegistration,
    Webhook,
    WebhookSecret,
    WorkerInfo,
)

__all__ = [
    "ActionReport",
    "ApiError",
    "App",
    "BatchReceipt",
    "Callback",
    "Client",
    "ConflictError",
    "Context",
    "Dead",
    "DeadGroup",
    "DeadGroups",
    "DeadJob",
    "DeadLetter",
    "DeadLetterPage",
    "Demand",
    "Discard",
    "Handler",
    "HandlerError",
    "InvalidError",
    "Job",
    "JobEvent",
    "JobFailedError",
    "JobHandle",
    "JobNotFoundError",
    "JobOptions",
    "JobRef",
    "JobStack",
    "JobState",
    "LifespanError",
    "LiveEvent",
    "MillstreamError",
    "NewJob",
    "NotBoundError",
    "OpenIncident",
    "Page",
    "Progress",
    "QueueStatus",
    "ResultError",
    "Retry",
    "RetryAfter",
    "SecretWebhook",
    "Snooze",
    "StatPoint",
    "Stats",
    "Steering",
    "SubmitOptions",
    "SyncClient",
    "SyncContext",
    "SyncJobHandle",
    "Timeline",
    "TimelineAttempt",
    "TimelineItem",
    "TypeRegistration",
    "UnavailableError",
    "WaitTimeoutError",
    "Webhook",
    "WebhookSecret",
    "WorkerInfo",
    "contract",
]

# An error is stored and shown with the name of its type, which is to be the one that users import.
for _public in [globals()[name] for name in __all__]:
    if isinstance(_public, type) and issubclass(_public, BaseException):
        _public.__module__ = __name__
