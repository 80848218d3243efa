"""What `@app.job` makes of a function, as type checkers see it.

The class of the context says what a function may do: `Context` and `DurableContext` are for
`async def`, `SyncContext` and `SyncDurableContext` for `def`.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, overload

from millstream.context import Context, SyncContext
from millstream.cron_context import CronContext
from millstream.durable.durable_context import DurableContext, SyncDurableContext
from millstream.gathering.batch import Batch, BatchContext, SyncBatch
from millstream.handler import Handler

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")

Async = Coroutine[Any, Any, R]


class Register(Protocol[S]):
    """Registers a function of an app whose lifespan yields `S`."""

    @overload
    def __call__(
        self, function: Callable[[P, Context[S]], Async[R]], /
    ) -> Handler[P, R, Callable[[P, Context[S]], Async[R]]]: ...

    @overload
    def __call__(
        self, function: Callable[[P, SyncContext[S]], R], /
    ) -> Handler[P, R, Callable[[P, SyncContext[S]], R]]: ...

    @overload
    def __call__(
        self, function: Callable[[P, DurableContext[S]], Async[R]], /
    ) -> Handler[P, R, Callable[[P, DurableContext[S]], Async[R]]]: ...

    @overload
    def __call__(
        self, function: Callable[[P, SyncDurableContext[S]], R], /
    ) -> Handler[P, R, Callable[[P, SyncDurableContext[S]], R]]: ...

    @overload
    def __call__(self, function: Callable[[P], Async[R]], /) -> Handler[P, R, Callable[[P], Async[R]]]: ...

    @overload
    def __call__(self, function: Callable[[P], R], /) -> Handler[P, R, Callable[[P], R]]: ...

    @overload
    def __call__(self, function: Callable[[], Async[R]], /) -> Handler[None, R, Callable[[], Async[R]]]: ...

    @overload
    def __call__(self, function: Callable[[], R], /) -> Handler[None, R, Callable[[], R]]: ...


class RegisterBatch(Protocol[S]):
    """Registers a function that is called for many jobs at once; its handler takes and gives what one job does."""

    @overload
    def __call__(
        self, function: Callable[[Batch[P, R], BatchContext[S]], Async[None]], /
    ) -> Handler[P, R, Callable[[Batch[P, R], BatchContext[S]], Async[None]]]: ...

    @overload
    def __call__(
        self, function: Callable[[SyncBatch[P, R], BatchContext[S]], None], /
    ) -> Handler[P, R, Callable[[SyncBatch[P, R], BatchContext[S]], None]]: ...

    @overload
    def __call__(
        self, function: Callable[[Batch[P, R]], Async[None]], /
    ) -> Handler[P, R, Callable[[Batch[P, R]], Async[None]]]: ...

    @overload
    def __call__(
        self, function: Callable[[SyncBatch[P, R]], None], /
    ) -> Handler[P, R, Callable[[SyncBatch[P, R]], None]]: ...


class RegisterCron(Protocol[S]):
    """Registers a function that a schedule calls: it takes no payload, and the context of an occasion if it wants."""

    @overload
    def __call__(
        self, function: Callable[[CronContext[S]], Async[R]], /
    ) -> Handler[None, R, Callable[[CronContext[S]], Async[R]]]: ...

    @overload
    def __call__(self, function: Callable[[], Async[R]], /) -> Handler[None, R, Callable[[], Async[R]]]: ...

    @overload
    def __call__(self, function: Callable[[], R], /) -> Handler[None, R, Callable[[], R]]: ...
