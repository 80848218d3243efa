"""Millstream: write handlers, submit jobs.

`App` and its decorator register handlers; `Client` and `SyncClient` submit jobs. Everything that users import is here;
`millstream.handlers` has the built-in handlers.
"""

from millstream.app import App
from millstream.client import Client, JobHandle, NewJob, SubmitOptions, SyncClient, SyncJobHandle
from millstream.context import Context
from millstream.errors import (
    ApiError,
    ConflictError,
    HandlerError,
    InvalidError,
    JobFailedError,
    JobNotFoundError,
    MillstreamError,
    NotBoundError,
    UnavailableError,
    WaitTimeoutError,
)
from millstream.steering import Dead, Discard, Retry, RetryAfter, Snooze

__all__ = [
    "ApiError",
    "App",
    "Client",
    "ConflictError",
    "Context",
    "Dead",
    "Discard",
    "HandlerError",
    "InvalidError",
    "JobFailedError",
    "JobHandle",
    "JobNotFoundError",
    "MillstreamError",
    "NewJob",
    "NotBoundError",
    "Retry",
    "RetryAfter",
    "Snooze",
    "SubmitOptions",
    "SyncClient",
    "SyncJobHandle",
    "UnavailableError",
    "WaitTimeoutError",
]
