"""The test kit for tests without an event loop: `with app.testing_sync() as t`.

The kit runs on a loop in a thread of its own. Plain handlers are called in the thread of the test, while it waits for
the kit: so they are in the database transaction that the test has opened, of which Django has one per thread.
"""

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from millstream import App, Client, Context, JobRef, Signal, SubmitOptions, SyncClient, SyncContext, SyncJobHandle
from millstream.app import FROM_LIFESPAN
from millstream_contracts import DeadJob
from millstream_testing.errors import TestingError
from millstream_testing.kit import Testing
from millstream_testing.running.faults import CrashPoint
from millstream_testing.running.stub import Stub
from millstream_testing.running.waiting_thread import WaitingThread
from millstream_testing.surface.context_maker import ContextOptions
from millstream_testing.surface.submitted import Submitted

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


class SyncTesting(Generic[S]):
    """The same as `Testing`, with calls that block."""

    __test__ = False  # of pytest, which takes classes with such names for tests

    def __init__(
        self, app: App[S], *, state: S = FROM_LIFESPAN, allow_dead: bool = False, now: datetime | None = None
    ) -> None:
        """Take the arguments of `app.testing_sync`."""
        self._thread = WaitingThread()
        self._kit = Testing(app, state=state, allow_dead=allow_dead, now=now, call_thread=self._thread.call_handler)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._client: SyncClient | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("asyncio"))
            stack.enter_context(self._portal.wrap_async_context_manager(self._kit))
            self._client = self._kit.sync_client(self._call)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close the kit, whatever is left behind."""
        self._kit.ignores_leftovers = True
        self.__exit__(None, None, None)

    @property
    def client(self) -> SyncClient:
        """A client whose jobs run in the test: for code without an event loop that submits jobs."""
        if self._client is None:
            raise TestingError("the kit is not open yet: with app.testing_sync() as t")
        return self._client

    @property
    def async_client(self) -> Client:
        """The same for code that runs on an event loop of its own, as that of an ASGI application in a test client."""
        return self._kit.client

    @property
    def state(self) -> S:
        """What handlers get as `ctx.state`."""
        return self._kit.state

    @property
    def now(self) -> datetime:
        """The time by the clock of the test, in UTC."""
        return self._kit.now

    def context(self, **options: Unpack[ContextOptions]) -> Context[S]:
        """Return a context with which a test calls an async handler itself."""
        return self._kit.context(**options)

    def sync_context(self, **options: Unpack[ContextOptions]) -> SyncContext[S]:
        """Return a context with which a test calls a plain handler itself."""
        return self._kit.sync_context(**options)

    @overload
    def run(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> R: ...

    @overload
    def run(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> R: ...

    def run(self, job: JobRef[Any, Any], payload: Any = None, **options: Any) -> Any:
        """Submit a job, run it with its retries and children, and return its result. See `Testing.run`."""
        return self._call(lambda: self._kit.run(job, payload, **options))

    @overload
    def start(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncJobHandle[R]: ...

    @overload
    def start(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> SyncJobHandle[R]: ...

    def start(self, job: JobRef[Any, Any], payload: Any = None, **options: Any) -> SyncJobHandle[Any]:
        """Submit a job and begin it. A plain handler runs in a thread of its own then. See `Testing.start`."""
        handle = self._call(lambda: self._kit.start(job, payload, **options))
        return self.client.job(job, handle.id)

    def run_ready(self) -> None:
        """Run jobs until none is ready. The clock stands still."""
        self._call(self._kit.run_ready)

    def advance(
        self, by: timedelta | None = None, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass. See `Testing.advance`."""
        self._call(lambda: self._kit.advance(by, days=days, hours=hours, minutes=minutes, seconds=seconds))

    def submitted(self, job: JobRef[P, Any]) -> list[Submitted[P]]:
        """Return the submissions of a job type, in their order. What is still queued of them is no leftover then."""
        return self._kit.submitted(job)

    def dead(self, job: JobRef[Any, Any] | None = None) -> list[DeadJob]:
        """Return the dead jobs, of one type or of all, oldest first. They are no leftovers then."""
        return self._call(lambda: self._kit.dead(job))

    @overload
    def signal(self, job: Any, signal: Signal[None], payload: None = None) -> None: ...

    @overload
    def signal(self, job: Any, signal: Signal[P], payload: P) -> None: ...

    @overload
    def signal(self, job: Any, signal: str, payload: Any = None) -> None: ...

    def signal(self, job: Any, signal: Any, payload: Any = None) -> None:
        """Send a signal to a job, and run what becomes ready by that. See `Testing.signal`."""
        self._call(lambda: self._kit.signal(job, signal, payload))

    def stub(self, job: JobRef[P, R]) -> Stub[P, R]:
        """Return what stands in for the handler of a type. See `Testing.stub`."""
        return self._kit.stub(job)

    def crash(
        self, job: JobRef[Any, Any], *, at: CrashPoint = "end", step: str | None = None, times: int = 1
    ) -> AbstractContextManager[None]:
        """Have the worker vanish in the next runs of a type. See `Testing.crash`."""
        return self._kit.crash(job, at=at, step=step, times=times)

    def deliver_twice(self, job: JobRef[Any, Any], *, times: int = 1) -> AbstractContextManager[None]:
        """Have two workers run the next job of a type. See `Testing.deliver_twice`."""
        return self._kit.deliver_twice(job, times=times)

    def leftovers(self) -> list[str]:
        """Return a sentence for each thing that the test would leave behind now."""
        return self._kit.leftovers()

    def _call(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._portal is None:
            raise TestingError("the kit is not open yet: with app.testing_sync() as t")
        return self._thread.wait_for(self._portal, call)
