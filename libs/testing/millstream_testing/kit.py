"""The test kit for tests with an event loop: `async with app.testing() as t`."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, overload

from millstream import (
    App,
    Client,
    Context,
    JobFailedError,
    JobHandle,
    JobRef,
    Signal,
    SubmitOptions,
    SyncClient,
    SyncContext,
)
from millstream.app import FROM_LIFESPAN
from millstream_contracts import DeadJob, JobId, JobState, JobType
from millstream_testing.errors import LeftoverError, TestingError
from millstream_testing.memory.ledger import Ledger
from millstream_testing.opening import OpenKit, open_kit
from millstream_testing.running.faults import CrashPoint, Faults
from millstream_testing.running.kit_caller import KitCaller
from millstream_testing.running.stub import Stub
from millstream_testing.surface.context_maker import ContextOptions, make_context
from millstream_testing.surface.kit_clients import KitSyncClient
from millstream_testing.surface.leftovers import leftovers
from millstream_testing.surface.stand_in import stand_in
from millstream_testing.surface.submitted import Submitted, dead_job, submitted
from millstream_testing.surface.unawaited import noted_unawaited
from millstream_testing.virtual_clock import VirtualClock
from millstream_workers.running.thread_call import CallThread

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")


class Testing(Generic[S]):
    """Runs the jobs of an app in memory, by the code of the workers, with a clock that the test moves.

    Jobs run when the test asks for it: by `run`, `run_ready`, `advance`, or by waiting for a result. An async context
    manager; at its end it raises LeftoverError for what the test has left behind.
    """

    __test__ = False  # of pytest, which takes classes with such names for tests

    def __init__(
        self,
        app: App[S],
        *,
        state: S = FROM_LIFESPAN,
        allow_dead: bool = False,
        now: datetime | None = None,
        call_thread: CallThread | None = None,
    ) -> None:
        """Take the arguments of `app.testing`; `call_thread` calls plain functions, in place of threads."""
        self._app = app
        self._given = state
        self._allow_dead = allow_dead
        self._call_thread = call_thread
        self._clock = VirtualClock(now)
        self._ledger = Ledger(self._clock)
        self._faults = Faults()
        self._stubs: dict[str, Stub[Any, Any]] = {}
        self._handlers = {JobType(handler.type): handler for handler in app}
        self._looked_at: set[str] = set()
        self._unawaited: list[str] = []
        self._stack = AsyncExitStack()
        self._open: OpenKit | None = None
        self.ignores_leftovers = False
        """Whether the end passes over what is left behind."""

    async def __aenter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise TestingError(
                "the kit runs on asyncio, as workers do: let the fixture `anyio_backend` say so"
            ) from None
        caller = KitCaller(self._stubs, self._call_thread)
        async with AsyncExitStack() as stack:
            self._open = await stack.enter_async_context(
                open_kit(
                    self._app,
                    self._handlers,
                    caller,
                    state=self._given,
                    ledger=self._ledger,
                    clock=self._clock,
                    faults=self._faults,
                )
            )
            stack.enter_context(noted_unawaited(self._unawaited.append))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = [] if self.ignores_leftovers else self.leftovers()
        await self._stack.__aexit__(kind, error, trace)
        # A test that fails has left things behind because it failed.
        if error is None and left:
            raise LeftoverError(left)

    @property
    def client(self) -> Client:
        """A client whose jobs run in the test: for code that submits jobs and follows them."""
        return self._opened.client

    def sync_client(self, call: Callable[..., Any]) -> SyncClient:
        """Return a client for code without an event loop; `call` runs an async function on the loop of the kit."""
        return KitSyncClient(self._opened.endpoint, self._clock, call)

    @property
    def state(self) -> S:
        """What handlers get as `ctx.state`."""
        state: S = self._state()
        return state

    @property
    def now(self) -> datetime:
        """The time by the clock of the test, in UTC."""
        return self._clock.now()

    def context(self, **options: Unpack[ContextOptions]) -> Context[S]:
        """Return a context with which a test calls an async handler itself."""
        return make_context(Context, self._opened.runner.parts, self._clock, state=self._state(), **options)

    def sync_context(self, **options: Unpack[ContextOptions]) -> SyncContext[S]:
        """Return a context with which a test calls a plain handler itself; in a thread, if that submits jobs."""
        return make_context(SyncContext, self._opened.runner.parts, self._clock, state=self._state(), **options)

    @overload
    async def run(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> R: ...

    @overload
    async def run(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> R: ...

    async def run(self, job: JobRef[Any, Any], payload: Any = None, **options: Any) -> Any:
        """Submit a job, run it with its retries and children, and return its result as what its type gives.

        The clock moves to each next attempt. Children that are to run later stay scheduled. Raises: JobFailedError,
        whose cause is what the handler raised; InvalidError, for what the API would refuse.
        """
        handle: JobHandle[Any] = await self.client.submit(job, payload, **options)
        await self._opened.runner.follow(handle.id)
        return await self._result(handle)

    @overload
    async def start(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> JobHandle[R]: ...

    @overload
    async def start(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> JobHandle[R]: ...

    async def start(self, job: JobRef[Any, Any], payload: Any = None, **options: Any) -> JobHandle[Any]:
        """Submit a job and begin it. Its handler runs while the test goes on, until it ends or time stops it."""
        handle: JobHandle[Any] = await self.client.submit(job, payload, **options)
        await self._opened.runner.begin(handle.id)
        return handle

    async def run_ready(self) -> None:
        """Run jobs until none is ready. The clock stands still."""
        await self._opened.runner.run_ready()

    async def advance(
        self, by: timedelta | None = None, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass: what becomes due runs at its time, late jobs expire, handlers reach their timeouts.

        The schedules of the app fire too.
        """
        passed = (by or timedelta()) + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if passed < timedelta():
            raise TestingError("time does not go back")
        await self._opened.runner.advance(round(passed.total_seconds() * 1000))

    def submitted(self, job: JobRef[P, Any]) -> list[Submitted[P]]:
        """Return the submissions of a job type, in their order. What is still queued of them is no leftover then."""
        self._looked_at.add(job.type)
        return [submitted(one, job) for one in self._ledger.jobs.values() if one.queue.type == job.type]

    async def dead(self, job: JobRef[Any, Any] | None = None) -> list[DeadJob]:
        """Return the dead jobs, of one type or of all, oldest first. They are no leftovers then."""
        opened, found = self._opened, []
        for one in self._ledger.jobs.values():
            if one.state is JobState.DEAD and (job is None or one.queue.type == job.type):
                opened.endpoint.read.add(one.id)
                found.append(await dead_job(one, opened.runner.parts.broker.views))
        return found

    @overload
    async def signal(self, job: Any, signal: Signal[None], payload: None = None) -> None: ...

    @overload
    async def signal(self, job: Any, signal: Signal[P], payload: P) -> None: ...

    @overload
    async def signal(self, job: Any, signal: str, payload: Any = None) -> None: ...

    async def signal(self, job: Any, signal: Any, payload: Any = None) -> None:
        """Send a signal to a job, which is given by its handle or its id, and run what becomes ready by that.

        Raises: as `Client.signal`.
        """
        await self.client.signal(job if isinstance(job, str) else job.id, signal, payload)
        await self.run_ready()

    def stub(self, job: JobRef[P, R]) -> Stub[P, R]:
        """Return what stands in for the handler of a type. Without a handler in the app, it makes the type handled."""
        if job.type not in self._handlers:
            self._handlers[JobType(job.type)] = stand_in(job)
        stub: Stub[P, R] = self._stubs.setdefault(job.type, Stub(job.type))
        return stub

    def crash(
        self, job: JobRef[Any, Any], *, at: CrashPoint = "end", step: str | None = None, times: int = 1
    ) -> AbstractContextManager[None]:
        """Have the worker vanish in the next runs of a type: before the handler begins, at its end, or in a step.

        At the end its effects have happened, and the outcome is lost; in a step, the next one or the next of this name,
        its function has run, and what it returned is lost. The job runs again when the lease is over.

        Raises: ValueError, for a `step` without `at="step"`.
        """
        return self._faults.crash(job.type, at, step, times)

    def deliver_twice(self, job: JobRef[Any, Any], *, times: int = 1) -> AbstractContextManager[None]:
        """Have two workers run the next job of a type, because the first one has lost its lease without knowing it."""
        return self._faults.plan(job.type, "twice", times)

    def leftovers(self) -> list[str]:
        """Return a sentence for each thing that the test would leave behind now."""
        found = leftovers(
            self._ledger.jobs.values(),
            handled=self._handlers,
            looked_at=self._looked_at,
            read=self._opened.endpoint.read,
            allow_dead=self._allow_dead,
        )
        return [*found, *(f"a call of {name} was never awaited, and has submitted nothing" for name in self._unawaited)]

    @property
    def _opened(self) -> OpenKit:
        if self._open is None:
            raise TestingError("the kit is not open yet: async with app.testing() as t")
        return self._open

    def _state(self) -> Any:
        if self._given is not FROM_LIFESPAN:
            return self._given
        own = (
            state for type_, state in self._opened.states.items() if self._app.state_app(type_) is self._app.state_of
        )
        return next(own, None)

    async def _result(self, handle: JobHandle[Any]) -> Any:
        job = self._ledger.jobs[handle.id]
        if not job.state.is_settled:
            why = "" if job.queue.type in self._handlers else f": the app has no handler for `{job.queue.type}`"
            why = f": it waits for the signal `{job.waiting_for}`" if job.waiting_for else why
            raise TestingError(f"{job.id} is {job.state}, and nothing moves it{why}")
        try:
            return await handle.result()
        except JobFailedError as error:
            raise error from self._opened.runner.errors.get(JobId(handle.id))
