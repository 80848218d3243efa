"""The contexts of durable handlers: their steps are stored, and they wait without a worker."""

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar, Unpack, overload

import anyio.to_thread

from millstream.context import AsyncContext, BlockingContext, S_co
from millstream.durable.steps import (
    Steps,
    calls_of,
    decoded,
    encoded,
    portions,
    results_of,
    type_of_step,
    version_of,
)
from millstream.errors import HandlerError, SignalTimeoutError
from millstream.function_reader import is_async, is_awaitable
from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.signal import Signal, signal_of
from millstream.jobs.submit_options import SubmitOptions
from millstream.seconds import Seconds, in_seconds
from millstream_contracts import StoredStep

Q = ParamSpec("Q")
P = TypeVar("P")
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")

_NO_DEFAULT: Any = object()


class DurableContext(AsyncContext[S_co]):
    """What a durable `async def` handler is given. To take it makes the handler durable.

    The handler begins again with each delivery of its job, and steps that are stored give what they have given. Code
    outside of steps runs again, and has to come to the same steps.
    """

    def __init__(self, **delivery: Any) -> None:
        super().__init__(**delivery)
        self._steps: Steps | None = None

    def step_key(self, name: str) -> str:
        """Return an idempotency key for the effect of the next step of this name: the same in each attempt."""
        return f"{self.job_id}:{self._durable().key(name)}"

    @overload
    async def step(
        self,
        name: str,
        function: Callable[..., Coroutine[Any, Any, T]],
        /,
        *args: Any,
        version: str | int,
        **kwargs: Any,
    ) -> T: ...

    @overload
    async def step(
        self, name: str, function: Callable[..., T], /, *args: Any, version: str | int, **kwargs: Any
    ) -> T: ...

    @overload
    async def step(
        self, name: str, function: Callable[Q, Coroutine[Any, Any, T]], /, *args: Q.args, **kwargs: Q.kwargs
    ) -> T: ...

    @overload
    async def step(self, name: str, function: Callable[Q, T], /, *args: Q.args, **kwargs: Q.kwargs) -> T: ...

    async def step(self, name: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function once it has been, and return what it returns; a later attempt does not call it again.

        It runs at least once: a worker that is lost before the result is stored leaves it to run again. A plain
        function is called in a thread. What is stored under another `version` is void. Raises: what the function
        raises, and then nothing is stored; HandlerError, before it is called, StepError, UnavailableError.
        """
        steps, gives = self._durable(), type_of_step(name, function)
        wanted = version_of(kwargs.pop("version", ""))
        key = steps.take(name)
        stored = await steps.find(key, wanted, "step")
        if stored is None:
            value = await _called(function, args, kwargs)
            stored = await steps.save(key, wanted, "step", encoded(key, value))
        return decoded(key, stored.content, gives)

    async def sleep(
        self, name: str, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Go on after a time, without holding a worker meanwhile. Raises: StepError, UnavailableError."""
        steps = self._durable()
        await steps.wait(steps.take(name), _after(timedelta(days, seconds, 0, 0, minutes, hours)))

    async def sleep_until(self, name: str, moment: datetime) -> None:
        """Go on at a moment, which needs a time zone. Raises: as `sleep`; ValueError."""
        steps = self._durable()
        await steps.wait(steps.take(name), _at(moment))

    @overload
    async def wait_for(self, signal: Signal[T], *, timeout: Seconds | None = None) -> T: ...  # noqa: ASYNC109

    @overload
    async def wait_for(self, signal: Signal[T], *, timeout: Seconds | None = None, default: A) -> T | A: ...  # noqa: ASYNC109

    @overload
    async def wait_for(self, signal: str, *, timeout: Seconds | None = None, default: Any = ...) -> Any: ...  # noqa: ASYNC109

    async def wait_for(
        self,
        signal: Any,
        *,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - the job waits, and no task
        default: Any = _NO_DEFAULT,
    ) -> Any:
        """Return the payload of the next signal of a name, without holding a worker until it has come.

        The wait is a step with the name of the signal. Raises: SignalTimeoutError after `timeout` without a `default`;
        StepError when the payload is of another type, UnavailableError.
        """
        steps, wanted = self._durable(), signal_of(signal)
        key = steps.take(wanted.name)
        stored = await steps.wait(key, "" if timeout is None else _after(timeout), wanted.name)
        return _answered(wanted, key, stored, default)

    @overload
    async def call(
        self, name: str, job: JobRef[None, R], payload: None = None, **options: Unpack[SubmitOptions]
    ) -> R: ...

    @overload
    async def call(self, name: str, job: JobRef[P, R], payload: P, **options: Unpack[SubmitOptions]) -> R: ...

    @overload
    async def call(self, name: str, job: str, payload: Any = None, **options: Unpack[SubmitOptions]) -> Any: ...

    async def call(self, name: str, job: Any, payload: Any = None, **options: Unpack[SubmitOptions]) -> Any:
        """Have a job of another type run, and return its result, without holding a worker until it has ended.

        The job is made once, whatever becomes of this delivery: a later attempt waits for the same one. Raises:
        JobFailedError when it is dead, cancelled or expired, and then nothing is stored: a later attempt looks again;
        InvalidError, StepError, UnavailableError.
        """
        steps = self._durable()
        key, contents = steps.take(name), calls_of(job, [payload], options)
        [result] = results_of(await steps.call(key, contents), gives_of(job), key)
        return result

    @overload
    async def map(
        self,
        name: str,
        job: JobRef[P, R],
        payloads: Iterable[P],
        *,
        at_once: int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[R]: ...

    @overload
    async def map(
        self,
        name: str,
        job: str,
        payloads: Iterable[Any],
        *,
        at_once: int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[Any]: ...

    async def map(
        self,
        name: str,
        job: Any,
        payloads: Iterable[Any],
        *,
        at_once: int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[Any]:
        """Do the same with a job for each payload, all at once or `at_once` at a time. Returns: results, in order.

        Raises: as `call`, JobFailedError for the first that has not succeeded, once all have settled.
        """
        steps, found = self._durable(), []
        for portion in portions(payloads, at_once):
            key, contents = steps.take(name), calls_of(job, portion, options)
            found += results_of(await steps.call(key, contents), gives_of(job), key)
        return found

    def _durable(self) -> Steps:
        if self._steps is None:
            self._steps = Steps(self._parent(), is_first=self.fence == 1)
        return self._steps


class SyncDurableContext(BlockingContext[S_co]):
    """What a durable `def` handler is given: its calls block. See `DurableContext`."""

    def __init__(self, **delivery: Any) -> None:
        super().__init__(**delivery)
        self._steps: Steps | None = None

    def step_key(self, name: str) -> str:
        """Return an idempotency key for the effect of the next step of this name: the same in each attempt."""
        return f"{self.job_id}:{self._durable().key(name)}"

    @overload
    def step(self, name: str, function: Callable[..., T], /, *args: Any, version: str | int, **kwargs: Any) -> T: ...

    @overload
    def step(self, name: str, function: Callable[Q, T], /, *args: Q.args, **kwargs: Q.kwargs) -> T: ...

    def step(self, name: str, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a plain function, as `DurableContext.step`, in this thread."""
        steps, gives = self._durable(), type_of_step(name, function)
        wanted = version_of(kwargs.pop("version", ""))
        if is_async(function):
            raise HandlerError(f"step `{name}` is async: an `async def` handler with a DurableContext awaits it")
        run, key = self._parent().run_blocking, steps.take(name)
        stored = run(partial(steps.find, key, wanted, "step"))
        if stored is None:
            content = encoded(key, function(*args, **kwargs))
            stored = run(partial(steps.save, key, wanted, "step", content))
        return decoded(key, stored.content, gives)

    def sleep(self, name: str, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Go on after a time, as `DurableContext.sleep`."""
        self._wait(name, _after(timedelta(days, seconds, 0, 0, minutes, hours)))

    def sleep_until(self, name: str, moment: datetime) -> None:
        """Go on at a moment, as `DurableContext.sleep_until`."""
        self._wait(name, _at(moment))

    @overload
    def wait_for(self, signal: Signal[T], *, timeout: Seconds | None = None) -> T: ...

    @overload
    def wait_for(self, signal: Signal[T], *, timeout: Seconds | None = None, default: A) -> T | A: ...

    @overload
    def wait_for(self, signal: str, *, timeout: Seconds | None = None, default: Any = ...) -> Any: ...

    def wait_for(self, signal: Any, *, timeout: Seconds | None = None, default: Any = _NO_DEFAULT) -> Any:
        """Return the payload of the next signal of a name, as `DurableContext.wait_for`."""
        steps, wanted = self._durable(), signal_of(signal)
        key = steps.take(wanted.name)
        ends = "" if timeout is None else _after(timeout)
        stored = self._parent().run_blocking(partial(steps.wait, key, ends, wanted.name))
        return _answered(wanted, key, stored, default)

    @overload
    def call(self, name: str, job: JobRef[None, R], payload: None = None, **options: Unpack[SubmitOptions]) -> R: ...

    @overload
    def call(self, name: str, job: JobRef[P, R], payload: P, **options: Unpack[SubmitOptions]) -> R: ...

    @overload
    def call(self, name: str, job: str, payload: Any = None, **options: Unpack[SubmitOptions]) -> Any: ...

    def call(self, name: str, job: Any, payload: Any = None, **options: Unpack[SubmitOptions]) -> Any:
        """Have a job of another type run, and return its result, as `DurableContext.call`."""
        steps = self._durable()
        key, contents = steps.take(name), calls_of(job, [payload], options)
        content = self._parent().run_blocking(partial(steps.call, key, contents))
        [result] = results_of(content, gives_of(job), key)
        return result

    @overload
    def map(
        self,
        name: str,
        job: JobRef[P, R],
        payloads: Iterable[P],
        *,
        at_once: int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[R]: ...

    @overload
    def map(
        self,
        name: str,
        job: str,
        payloads: Iterable[Any],
        *,
        at_once: int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[Any]: ...

    def map(
        self,
        name: str,
        job: Any,
        payloads: Iterable[Any],
        *,
        at_once: int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[Any]:
        """Do the same with a job for each payload, as `DurableContext.map`."""
        steps, found = self._durable(), []
        for portion in portions(payloads, at_once):
            key, contents = steps.take(name), calls_of(job, portion, options)
            content = self._parent().run_blocking(partial(steps.call, key, contents))
            found += results_of(content, gives_of(job), key)
        return found

    def _wait(self, name: str, ends: str) -> None:
        steps = self._durable()
        self._parent().run_blocking(partial(steps.wait, steps.take(name), ends))

    def _durable(self) -> Steps:
        if self._steps is None:
            self._steps = Steps(self._parent(), is_first=self.fence == 1)
        return self._steps


async def _called(function: Any, args: Any, kwargs: Any) -> Any:
    call = partial(function, *args, **kwargs)
    value = call() if is_async(function) else await anyio.to_thread.run_sync(call)
    return await value if is_awaitable(value) else value


def _after(delay: Seconds) -> str:
    return f"+{max(0, round(in_seconds(delay) * 1000))}"


def _at(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone: datetime.now(UTC), for example")
    return str(max(0, round(moment.timestamp() * 1000)))


def _answered(signal: Signal[Any], key: str, stored: StoredStep, default: Any) -> Any:
    if stored.kind != "timeout":
        return decoded(key, stored.content, signal.data)
    if default is _NO_DEFAULT:
        raise SignalTimeoutError(f"the signal `{signal.name}` has not come in time")
    return default
