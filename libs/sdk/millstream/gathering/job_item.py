"""One job of a call of a batch handler: its payload, its context, and the outcome that the handler gives it."""

from types import TracebackType
from typing import Any, Generic, TypeVar, overload

from millstream.context import Context, SyncContext
from millstream.errors import HandlerError

P = TypeVar("P")
R = TypeVar("R")


class Decided(Generic[P, R]):
    """What a batch handler reads of a job, and says of it."""

    payload: P
    """The payload of the job."""
    is_decided: bool = False
    """Whether the handler has given the job an outcome."""
    result: R | None = None
    """The result that the handler has given."""
    error: BaseException | None = None
    """The error that the handler has given."""
    traceback: TracebackType | None = None
    """Where the error was raised; None for one that was only made."""

    @overload
    def succeed(self: "Decided[P, None]") -> None: ...

    @overload
    def succeed(self, result: R) -> None: ...

    def succeed(self, result: Any = None) -> None:
        """Say that the job has succeeded, with its result. It is stored when the handler has ended.

        Raises: HandlerError, when the job has an outcome already.
        """
        self._decide()
        self.result = result

    def fail(self, error: BaseException) -> None:
        """Say that the job has failed, as if a handler of this job alone had raised the error.

        A `Snooze`, a `Discard`, a `Dead` and what `Retry.after` makes are taken at their word. Raises: HandlerError,
        when the job has an outcome already; TypeError, for what is no exception.
        """
        if not isinstance(error, BaseException):
            raise TypeError(f"`fail` takes an exception, not {error!r}")
        self._decide()
        self.error, self.traceback = error, error.__traceback__

    def _decide(self) -> None:
        if self.is_decided:
            raise HandlerError("this job of the batch has an outcome already: the first one stands")
        self.is_decided = True


class JobItem(Decided[P, R], Context[Any], Generic[P, R]):
    """One job of a `Batch`: a `Context` of this job alone, with its payload and its outcome.

    `cancelled` is true once the job was stopped, by a cancellation, a timeout or a lost lease: the others go on.
    """


class SyncJobItem(Decided[P, R], SyncContext[Any], Generic[P, R]):
    """One job of a `SyncBatch`: a `SyncContext` of this job alone, with its payload and its outcome."""
