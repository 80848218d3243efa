"""Errors of the worker service.

WorkerError
├── AppLoadError         the app named on the command line cannot be loaded
├── NoHandlersError      none of the apps' handlers matches the wanted types
├── UnreadableJobError   a job was stored in a form that this release cannot read
├── ProcessDiedError     the process of a handler with `isolation="process"` ended without an answer
├── RemoteError          such a handler raised; carries the failure as text
│   └── InvalidResultError   such a handler returned what cannot be stored
├── ResultTypeError      a handler returned a value of another type than its annotation
├── LeaseKeeperError     the thread that keeps the leases has died
├── UndecidableError     what a handler returned or raised cannot be read
├── HandlerExitError     a task that a handler started wants to end the process
└── SelfCancelledError   a handler was cancelled by a task of its own
"""

from millstream_contracts import JobError
from millstream_telemetry import type_name


class WorkerError(Exception):
    """Anything that goes wrong in a worker outside of a handler."""


class AppLoadError(WorkerError):
    """The app named on the command line cannot be loaded."""


class NoHandlersError(WorkerError):
    """None of the apps' handlers matches the wanted types."""


class UnreadableJobError(WorkerError):
    """What is stored of the job is broken, or was written by a newer release."""


class ProcessDiedError(WorkerError):
    """The process of a handler with `isolation="process"` ended without an answer.

    `stack` is what the process wrote when it was ended by a signal: its stack as text, without a message.
    """

    stack: str = ""

    def __init__(self, message: str, stack: str = "") -> None:
        self.stack = stack
        super().__init__(message)


class RemoteError(WorkerError):
    """A handler with `isolation="process"` raised."""

    def __init__(self, error: JobError, frames: str = "") -> None:
        """`frames` are those of users' code, without any message."""
        self.error = error
        self.frames = frames
        super().__init__(error.message)


class InvalidResultError(RemoteError):
    """A handler with `isolation="process"` returned what cannot be stored."""


class ResultTypeError(WorkerError):
    """A handler returned a value that its annotation does not allow."""


class SelfCancelledError(WorkerError):
    """A handler awaited a task that it had cancelled, and let the cancellation out."""


class UndecidableError(WorkerError):
    """What a handler returned or raised cannot be read."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__(f"what the handler left cannot be read: {type_name(failure)}")


class HandlerExitError(WorkerError):
    """A task that a handler started raised SystemExit or KeyboardInterrupt, which would end the worker."""


class LeaseKeeperError(WorkerError):
    """The thread that keeps the leases has died. Its worker must end."""
