"""Errors of the worker service.

WorkerError
├── AppLoadError         the app named on the command line cannot be loaded
├── NoHandlersError      none of the apps' handlers matches the wanted types
├── UnreadableJobError   a job was stored in a form that this release cannot read
├── ProcessDiedError     the process of a handler with `isolation="process"` ended without an answer
├── RemoteError          such a handler raised; carries the failure as text
│   └── InvalidResultError   such a handler returned what cannot be stored
├── LeaseKeeperError     the thread that keeps the leases has died
└── SelfCancelledError   a handler was cancelled by a task of its own
"""

from millstream_contracts import JobError


class WorkerError(Exception):
    """Anything that goes wrong in a worker outside of a handler."""


class AppLoadError(WorkerError):
    """The app named on the command line cannot be loaded."""


class NoHandlersError(WorkerError):
    """None of the apps' handlers matches the wanted types."""


class UnreadableJobError(WorkerError):
    """What is stored of the job is broken, or was written by a newer release."""


class ProcessDiedError(WorkerError):
    """The process of a handler with `isolation="process"` ended without an answer."""


class RemoteError(WorkerError):
    """A handler with `isolation="process"` raised."""

    def __init__(self, error: JobError) -> None:
        self.error = error
        super().__init__(error.message)


class InvalidResultError(RemoteError):
    """A handler with `isolation="process"` returned what cannot be stored."""


class SelfCancelledError(WorkerError):
    """A handler awaited a task that it had cancelled, and let the cancellation out."""


class LeaseKeeperError(WorkerError):
    """The thread that keeps the leases has died, and with it the worker must end."""
