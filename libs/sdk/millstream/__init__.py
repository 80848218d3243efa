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
    MillstreamError,
    NotBoundError,
    ResultError,
    UnavailableError,
    WaitTimeoutError,
)
from millstream.handler import Handler
from millstream.job_options import JobOptions
from millstream.jobs import JobHandle, JobRef, NewJob, SubmitOptions, SyncJobHandle, contract
from millstream.steering import Dead, Discard, Retry, RetryAfter, Snooze

__all__ = [
    "ApiError",
    "App",
    "Client",
    "ConflictError",
    "Context",
    "Dead",
    "Discard",
    "Handler",
    "HandlerError",
    "InvalidError",
    "JobFailedError",
    "JobHandle",
    "JobNotFoundError",
    "JobOptions",
    "JobRef",
    "MillstreamError",
    "NewJob",
    "NotBoundError",
    "ResultError",
    "Retry",
    "RetryAfter",
    "Snooze",
    "SubmitOptions",
    "SyncClient",
    "SyncContext",
    "SyncJobHandle",
    "UnavailableError",
    "WaitTimeoutError",
    "contract",
]
