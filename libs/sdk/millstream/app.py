"""Apps: the sets of handlers that users write, and that a worker runs."""

import builtins
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Unpack, cast, overload

from typing_extensions import TypeVar

from millstream.cron_context import CronContext
from millstream.cron_handler import CronHandler
from millstream.cron_options import CronJobOptions, split_cron_options
from millstream.errors import HandlerError, LifespanError
from millstream.function_reader import checked_function, is_coroutine_function, place_of
from millstream.gathering.batch_handler import BatchHandler, check_no_batch, inspect_batch_signature
from millstream.gathering.batch_options import BatchOptions, batch_policy_of, check_batch_options
from millstream.handler import Handler
from millstream.job_options import JobOptions, check_job_options, check_secrets, isolation_of, limits_of, policy_of
from millstream.jobs.job_ref import check_job_type
from millstream.jobs.submitter import Submitter
from millstream.lifespan_check import check_lifespan, takes_app
from millstream.registering import Register, RegisterBatch, RegisterCron
from millstream.schedules import DeclaredSchedule, take_schedules
from millstream.seconds import Seconds
from millstream.signature import Signature, inspect_signature
from millstream.steering import Retry
from millstream_contracts import TypePolicy
from millstream_schedules import zone_of

if TYPE_CHECKING:
    from millstream_testing.kit import Testing
    from millstream_testing.sync_kit import SyncTesting

S = TypeVar("S", default=None)
T = TypeVar("T")
H = TypeVar("H", bound=Handler)


class _FromLifespan:
    """The class of what says that the state is the one of the lifespan."""

    def __repr__(self) -> str:
        return "FROM_LIFESPAN"


FROM_LIFESPAN: Any = _FromLifespan()
"""In place of a state: what the lifespan yields."""


class App(Generic[S]):
    """A named set of handlers.

    `lifespan`, if given, is an async context manager function, with or without the app as its argument. It opens the
    resources that handlers share (pools, clients) once per worker process, and yields `ctx.state`. An `App[Pool]` is
    one whose lifespan yields a `Pool`.
    """

    @overload
    def __init__(self, name: str) -> None: ...

    @overload
    def __init__(self: "App[T]", name: str, *, lifespan: Callable[[], AbstractAsyncContextManager[T]]) -> None: ...

    @overload
    def __init__(
        self: "App[T]", name: str, *, lifespan: "Callable[[App[Any]], AbstractAsyncContextManager[T]]"
    ) -> None: ...

    @overload
    def __init__(self: "App[T]", name: str, *, state_of: "App[T]") -> None: ...

    def __init__(
        self, name: str, *, lifespan: Callable[..., Any] | None = None, state_of: "App[Any] | None" = None
    ) -> None:
        """`state_of` names another app whose state the handlers share.

        Raises: HandlerError, when both are given, or the lifespan is none.
        """
        if lifespan is not None and state_of is not None:
            raise HandlerError(f"app `{name}` has a lifespan of its own and the state of `{state_of.name}`: choose one")
        if lifespan is not None:
            check_lifespan(name, lifespan)
        self.name: str = name
        self.handlers: dict[str, Handler] = {}
        self.submitter: Submitter | None = None
        self.lifespan = lifespan
        self.state_of: App[Any] = self if state_of is None else state_of.state_of
        """The app whose lifespan yields the state of the handlers that are registered here."""
        self.included: list[App[Any]] = []
        """The apps whose handlers were added."""
        self._state_apps: dict[str, App[Any]] = {}
        """The same by job type, for the handlers of included apps too."""

    def job(self, type: str, **options: Unpack[JobOptions]) -> Register[S]:
        """Register a function as the handler of a job type.

        Raises: HandlerError, when the type is taken, an option is unknown or wrong, or an annotation is missing.
        """
        if callable(type):
            raise HandlerError('`@app.job` needs the name of a job type: write `@app.job("order.charge")`')
        check_job_type(type)
        check_job_options(type, options)

        def register(decorated: Callable[..., Any]) -> Handler:
            # A function may handle several types.
            function = self._function_of(type, decorated)
            check_no_batch(function)
            policy, signature = policy_of(type, options), inspect_signature(function)
            handler = self._registered(Handler, type, function, signature, policy, options)
            if handler.signature.context is CronContext:
                raise HandlerError(f"`{type}`: a CronContext is for `@app.cron`: take a Context")
            return self._add(handler)

        return cast("Register[S]", register)

    def cron(self, type: str, when: str | Seconds, /, **options: Unpack[CronJobOptions]) -> RegisterCron[S]:
        """Register a function that a schedule of the same name calls: a cron expression, or the length of an interval.

        Workers declare the schedule when they start. The function takes no payload, and a CronContext if it wants.

        Raises: HandlerError, when the name is taken, the expression is none, or an option is unknown or wrong.
        """
        check_job_type(type)
        job_options, schedule_options = split_cron_options(type, options)

        def register(decorated: Callable[..., Any]) -> Handler:
            function = self._function_of(type, decorated)
            policy, signature = policy_of(type, job_options), inspect_signature(function)
            handler = self._registered(CronHandler, type, function, signature, policy, job_options)
            if handler.signature.takes_payload or handler.signature.context not in {None, CronContext}:
                raise HandlerError(f"`{type}`: a function of `@app.cron` takes a CronContext, or nothing")
            handler.schedule(type, when, **schedule_options)
            handler.zone = zone_of(schedule_options.get("tz", "UTC"))
            return self._add(handler)

        return cast("RegisterCron[S]", register)

    def batch(self, type: str, **options: Unpack[BatchOptions]) -> RegisterBatch[S]:
        """Register a function that a worker calls once for many jobs of a type, which it gathers.

        The jobs are submitted one by one, and each has its own attempts, timeout, outcome and events. The function
        takes a `Batch`, or a `SyncBatch` if it is no `async def`, and a `BatchContext` if it wants. See
        `docs/handlers/batch-handlers.md`.

        Raises: HandlerError, as `job`.
        """
        if callable(type):
            raise HandlerError('`@app.batch` needs the name of a job type: write `@app.batch("event.index")`')
        check_job_type(type)
        check_batch_options(type, options)

        def register(decorated: Callable[..., Any]) -> Handler:
            function = self._function_of(type, decorated)
            policy, job_options = batch_policy_of(type, options)
            signature = inspect_batch_signature(function)
            return self._add(self._registered(BatchHandler, type, function, signature, policy, job_options))

        return cast("RegisterBatch[S]", register)

    def _function_of(self, type: str, decorated: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function to call. Raises: HandlerError, when it cannot be a handler or the type is taken."""
        # A function may handle several types.
        function = checked_function(decorated.function if isinstance(decorated, Handler) else decorated)
        if type in self.handlers:
            raise HandlerError(f"`{type}` is already handled by {place_of(self.handlers[type].function)}")
        return function

    def _registered(
        self,
        kind: builtins.type[H],
        type: str,
        function: Callable[..., Any],
        signature: Signature,
        policy: TypePolicy,
        options: JobOptions,
    ) -> H:
        check_secrets(type, policy, signature.payload_type)
        return kind(
            type,
            function,
            signature,
            policy=policy,
            isolation=isolation_of(function, options),
            retry=options.get("retry", Retry()),
            limits=limits_of(type, options, policy),
            bound=lambda: self.submitter,
            app=self.name,
        )

    def _add(self, handler: Handler) -> Handler:
        self.handlers[handler.type] = handler
        self._state_apps[handler.type] = self.state_of
        return handler

    @property
    def schedules(self) -> dict[str, DeclaredSchedule]:
        """The schedules that its handlers declare, by name. Raises: HandlerError, when two have one name."""
        return take_schedules([schedule for handler in self for schedule in handler.schedules])

    def include(self, *others: "App[Any]") -> None:
        """Add the handlers of other apps to this one. Those of an app without a state share the state of this one.

        Raises: HandlerError, when a type is taken; then nothing is added.
        """
        added: dict[str, Handler] = {}
        states: dict[str, App[Any]] = {}
        for other in others:
            for job_type, handler in other.handlers.items():
                if job_type in self.handlers or job_type in added:
                    first = self.handlers.get(job_type) or added[job_type]
                    raise HandlerError(
                        f"`{job_type}` is in both `{self.name}` and `{other.name}`: it is handled by "
                        f"{place_of(first.function)} and by {place_of(handler.function)}"
                    )
                added[job_type] = handler
                state_app = other.state_app(job_type)
                states[job_type] = self.state_of if state_app.lifespan is None else state_app
        self.handlers |= added
        self._state_apps |= states
        self.included += others

    def state_app(self, job_type: str) -> "App[Any]":
        """Return the app whose lifespan yields the state for the handler of a type."""
        return self._state_apps[job_type]

    def bind(self, submitter: Submitter) -> None:
        """Set the client that `.submit()` of the handlers uses outside of workers. Raises: TypeError, for a SyncClient.

        `.submit()` is awaited. A program without an event loop calls `client.submit(handler, ...)` of its SyncClient.
        """
        if not is_coroutine_function(submitter.submit):
            raise TypeError(
                f"app.bind takes a Client, because `.submit()` of handlers is awaited, and not a "
                f"{type(submitter).__name__}: without an event loop call `client.submit(handler, ...)`"
            )
        self.submitter = submitter

    def testing(
        self, *, state: S = FROM_LIFESPAN, allow_dead: bool = False, now: datetime | None = None
    ) -> "Testing[S]":
        """Return the test kit: `async with app.testing() as t` runs jobs of this app in memory.

        `state` is given to handlers in place of what the lifespan yields. `allow_dead` lets a test end with dead jobs.
        The clock of the test begins at `now`. Needs the extra `testing`. See `docs/handlers/testing.md`.
        """
        from millstream_testing.kit import Testing  # noqa: PLC0415 - services do without it

        return Testing(self, state=state, allow_dead=allow_dead, now=now)

    def testing_sync(
        self, *, state: S = FROM_LIFESPAN, allow_dead: bool = False, now: datetime | None = None
    ) -> "SyncTesting[S]":
        """Return the test kit for tests without an event loop: `with app.testing_sync() as t`. See `testing`."""
        from millstream_testing.sync_kit import SyncTesting  # noqa: PLC0415 - as above

        return SyncTesting(self, state=state, allow_dead=allow_dead, now=now)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Any]:
        """Run the lifespan. Yields: the value of `ctx.state`. Raises: LifespanError, when it fails to open or close."""
        if self.lifespan is None:
            yield None
            return
        with self._told("to open"):
            opened = self.lifespan(self) if takes_app(self.lifespan) else self.lifespan()
            if not hasattr(opened, "__aenter__"):
                raise TypeError("it is no async context manager: put @asynccontextmanager over it")
            state = await opened.__aenter__()
        try:
            yield state
        except BaseException as error:
            if not await opened.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            with self._told("to close"):
                await opened.__aexit__(None, None, None)

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Say of an error that it is one of the lifespan, of which app, and where."""
        try:
            yield
        except Exception as error:
            raise LifespanError(self.name, place_of(self.lifespan), doing, error) from error

    def __iter__(self) -> Iterator[Handler]:
        return iter(self.handlers.values())
