"""What `@app.job` makes of a function, as type checkers see it.

The class of the context says what a function may do: `Context` is for `async def`, `SyncContext` for `def`.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, overload

from millstream.context import Context, SyncContext
from millstream.cron_context import CronContext
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
    def __call__(self, function: Callable[[P], Async[R]], /) -> Handler[P, R, Callable[[P], Async[R]]]: ...

    @overload
    def __call__(self, function: Callable[[P], R], /) -> Handler[P, R, Callable[[P], R]]: ...

    @overload
    def __call__(self, function: Callable[[], Async[R]], /) -> Handler[None, R, Callable[[], Async[R]]]: ...

    @overload
    def __call__(self, function: Callable[[], R], /) -> Handler[None, R, Callable[[], R]]: ...


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
