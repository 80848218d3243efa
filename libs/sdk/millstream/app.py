"""Apps and handlers: what users write their jobs on, and what a worker runs."""

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, Literal, ParamSpec, TypedDict, TypeVar, Unpack

import msgspec

from millstream.context import Context, Submitter, current_submitter
from millstream.errors import HandlerError, NotBoundError
from millstream.payloads import unsafe_union
from millstream.signature import inspect_signature
from millstream.steering import Retry
from millstream_contracts import NAME_PATTERN, TypePolicy, TypeRegistration, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")

Isolation = Literal["loop", "thread", "process"]
"""Where a handler runs: on the event loop, in a thread, or in a process that can be killed."""

Lifespan = Callable[["App"], AbstractAsyncContextManager[Any]]


class JobOptions(TypedDict, total=False):
    """Options of `@app.job`."""

    timeout: float
    """Seconds after which an attempt is stopped and counts as failed."""
    retry: Retry
    isolation: Isolation
    """By default `loop` for `async def` and `thread` for `def`."""
    result_ttl: float
    """Seconds for which a finished job can be read."""
    partitions: int
    """Number of queues of the type, so that a busy type can span several nodes of a cluster."""


class Handler(Generic[P, R]):
    """A registered handler. It can be called like the function it wraps, in a test for example."""

    def __init__(
        self,
        app: "App",
        function: Callable[P, R],
        job_type: str,
        policy: TypePolicy,
        isolation: Isolation,
    ) -> None:
        self.app = app
        self.function = function
        self.type = job_type
        self.policy = policy
        self.isolation = isolation
        self.signature = inspect_signature(function)
        self.decode = self.signature.payload_type.decode
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now."""
        return self.function(*args, **kwargs)

    async def submit(self, payload: Any = None, **options: Any) -> Any:
        """Submit a job of this type. Takes the options of `Client.submit`. Raises: NotBoundError, ApiError."""
        return await self._submitter().submit(self.type, payload, **options)

    async def submit_many(self, payloads: Iterable[Any], **options: Any) -> Any:
        """Submit a job of this type for each payload. Raises: NotBoundError, ApiError."""
        return await self._submitter().submit_many(self.type, payloads, **options)

    def _submitter(self) -> Submitter:
        submitter = current_submitter.get() or self.app.submitter
        if submitter is None:
            raise NotBoundError(f"cannot submit `{self.type}`: call app.bind(client) first")
        return submitter

    def arguments(self, payload: Any, context: Context | None) -> tuple[Any, ...]:
        """Return the arguments of the function; the context may be None if the function takes none."""
        given = (payload,) if self.signature.takes_payload else ()
        return (*given, context) if self.signature.takes_context else given

    def registration(self, code_version: str = "") -> TypeRegistration:
        """Return the description of this type that workers publish. Raises: HandlerError."""
        doc = inspect.getdoc(self.function) or ""
        return msgspec.convert(
            {
                "type": self.type,
                "policy": self.policy,
                "payload_schema": self.signature.payload_type.schema,
                "result_schema": self._result_schema(),
                "description": doc.partition("\n\n")[0].replace("\n", " "),
                "handler": f"{self.function.__module__}:{self.function.__qualname__}",
                "code_version": code_version,
            },
            TypeRegistration,
        )

    def _result_schema(self) -> dict[str, Any] | None:
        annotation = self.signature.result
        if annotation is Any:
            return None
        if unsafe_union(annotation) is not None:
            raise HandlerError(f"`{self.type}`: the result type {annotation!r} has a union that crashes msgspec")
        try:
            return msgspec.json.schema(annotation)
        except (TypeError, KeyError) as error:
            raise HandlerError(
                f"`{self.type}`: the result type {annotation!r} has no schema: {str(error).splitlines()[0]}"
            ) from error


class App:
    """A named set of handlers.

    `lifespan`, if given, is an async context manager function like Starlette's. It opens the resources that handlers
    share (pools, clients) once per worker process, and yields `ctx.state`.
    """

    def __init__(self, name: str, *, lifespan: Lifespan | None = None) -> None:
        self.name = name
        self.handlers: dict[str, Handler[..., Any]] = {}
        self.submitter: Submitter | None = None
        self._lifespan = lifespan

    def job(self, type: str, **options: Unpack[JobOptions]) -> Callable[[Callable[P, R]], Handler[P, R]]:
        """Register a function as the handler of a job type.

        Raises: HandlerError, when the type is taken, an option is unknown or wrong, or an annotation is missing.
        """
        _check_options(type, options)

        def register(function: Callable[P, R]) -> Handler[P, R]:
            if type in self.handlers:
                other = self.handlers[type].function
                raise HandlerError(f"`{type}` is already handled by {other.__module__}:{other.__qualname__}")
            handler = Handler(self, function, type, _policy(type, options), _isolation(function, options))
            self.handlers[type] = handler
            return handler

        return register

    def include(self, other: "App") -> None:
        """Add another app's handlers to this one. Raises: HandlerError, when a type is taken."""
        for job_type, handler in other.handlers.items():
            if job_type in self.handlers:
                raise HandlerError(f"`{job_type}` is in both `{self.name}` and `{other.name}`")
            self.handlers[job_type] = handler

    def bind(self, submitter: Submitter) -> None:
        """Set the client that `.submit()` of the handlers uses outside of workers."""
        self.submitter = submitter

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Any]:
        """Run the lifespan. Yields: the value of `ctx.state`."""
        if self._lifespan is None:
            yield None
            return
        async with self._lifespan(self) as state:
            yield state

    def __iter__(self) -> Iterator[Handler[..., Any]]:
        return iter(self.handlers.values())


def _check_options(job_type: str, options: JobOptions) -> None:
    if not re.match(NAME_PATTERN, job_type):
        raise HandlerError(f"`{job_type}` is no job type: use a-z, 0-9, `.` and `-`, 64 characters at most")
    known = JobOptions.__annotations__
    for option in options:
        if option not in known:
            raise HandlerError(f"`{job_type}`: unknown option `{option}`{did_you_mean(option, known)}")


def _policy(job_type: str, options: JobOptions) -> TypePolicy:
    retry = options.get("retry", Retry())
    try:
        wanted = {
            "max_attempts": retry.max_attempts,
            "backoff": msgspec.to_builtins(retry.to_backoff()),
            "timeout_s": options.get("timeout"),
            "result_ttl_s": options.get("result_ttl", TypePolicy(max_attempts=1).result_ttl_s),
            "partitions": options.get("partitions", 1),
        }
        return msgspec.convert(wanted, TypePolicy)
    except msgspec.ValidationError as error:
        raise HandlerError(f"`{job_type}`: {error}") from error


def _isolation(function: Callable[..., Any], options: JobOptions) -> Isolation:
    is_async = inspect.iscoroutinefunction(function)
    isolation = options.get("isolation", "loop" if is_async else "thread")
    if isolation not in {"loop", "thread", "process"}:
        raise HandlerError(f"isolation is `loop`, `thread` or `process`, not `{isolation}`")
    if is_async and isolation == "thread":
        raise HandlerError(f"{function.__qualname__} is async: it runs on the loop or in a process")
    if not is_async and isolation == "loop":
        raise HandlerError(f"{function.__qualname__} is not async: on the loop it would stop all others")
    return isolation
