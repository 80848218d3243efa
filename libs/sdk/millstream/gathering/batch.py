"""What a batch handler is given: the jobs of one call, and what they have in common."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import structlog
from typing_extensions import TypeVar as DefaultTypeVar

from millstream.gathering.job_item import JobItem, SyncJobItem

P = TypeVar("P")
R = TypeVar("R")
I = TypeVar("I", bound=JobItem[Any, Any] | SyncJobItem[Any, Any])  # noqa: E741 - an item
S_co = DefaultTypeVar("S_co", covariant=True, default=Any)


class _Items(Sequence[I]):
    """The jobs of one call, in the order in which they were claimed."""

    def __init__(self, items: Sequence[I]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, at: int) -> I: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[I]: ...

    def __getitem__(self, at: Any) -> Any:
        return self._items[at]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[I]:
        return iter(self._items)

    @property
    def undecided(self) -> list[I]:
        """The jobs that have no outcome yet and were not stopped."""
        return [item for item in self._items if not item.is_decided and not item.cancelled]


class Batch(_Items[JobItem[P, R]], Generic[P, R]):
    """The jobs of one call of an `async def` batch handler: `Batch[str, int]` takes texts and gives numbers.

    What has no outcome when the handler returns has succeeded with the result None; when it raises, it has failed by
    what was raised. It is no batch of `client.batch`, which is a set of jobs that are followed together.
    """

    @property
    def payloads(self) -> list[P]:
        """The payloads, in the order of the jobs."""
        return [item.payload for item in self]


class SyncBatch(_Items[SyncJobItem[P, R]], Generic[P, R]):
    """The jobs of one call of a `def` batch handler, which runs in a thread. As `Batch`."""

    @property
    def payloads(self) -> list[P]:
        """The payloads, in the order of the jobs."""
        return [item.payload for item in self]


class BatchContext(Generic[S_co]):
    """The context of one call of a batch handler. Each of its jobs has one of its own, which is its `JobItem`."""

    def __init__(self, *, job_type: str, state: Any, is_stopped: Callable[[], bool], jobs: int) -> None:
        self.type = job_type
        self.state: S_co = state
        """What the `lifespan` of the app yielded."""
        self._is_stopped = is_stopped
        self._jobs = jobs

    @property
    def cancelled(self) -> bool:
        """True once each job of the call was stopped. A handler in a thread should look at it."""
        return self._is_stopped()

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger bound to the type, with the number of jobs."""
        logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger().bind(type=self.type, jobs=self._jobs)
        return logger
