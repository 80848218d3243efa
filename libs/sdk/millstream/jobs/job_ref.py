"""References to job types: what a handler is to those who submit, and what another code base writes in its place."""

import builtins
import inspect
import re
import typing
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, Protocol, Unpack, overload

from typing_extensions import TypeVar

from millstream.errors import HandlerError, NotBoundError
from millstream.function_reader import place_of
from millstream.jobs.annotations import annotations_of, data_type, result_annotation
from millstream.jobs.job_handle import JobHandle
from millstream.jobs.submit_options import SubmitOptions
from millstream.jobs.submitter import Submitter, current_submitter, require_loop
from millstream.payloads import ANYTHING, DataType
from millstream_contracts import NAME_PATTERN, BatchReceipt

P = TypeVar("P")
R = TypeVar("R")
P_contra = TypeVar("P_contra", contravariant=True, default=Any)
R_co = TypeVar("R_co", covariant=True, default=Any)


class JobRef(Generic[P_contra, R_co]):
    """A job type: its name, what it takes and what it gives. Enough to submit jobs of it, from any code base.

    Handlers are references too, and `@contract` makes one of a function without a body.
    """

    @overload
    def __init__(self: "JobRef[P, R]", type: str, *, takes: builtins.type[P], gives: builtins.type[R]) -> None: ...

    @overload
    def __init__(self: "JobRef[None, R]", type: str, *, takes: None = None, gives: builtins.type[R]) -> None: ...

    @overload
    def __init__(self: "JobRef[P, None]", type: str, *, takes: builtins.type[P], gives: None = None) -> None: ...

    @overload
    def __init__(self: "JobRef[None, None]", type: str, *, takes: None = None, gives: None = None) -> None: ...

    def __init__(self, type: str, *, takes: Any = None, gives: Any = None) -> None:
        """Take the types of payload and result, None for none. Raises: HandlerError."""
        check_job_type(type)
        self.type = type
        self.takes: Any = takes
        self.gives: Any = gives
        self.result_type: DataType = data_type(gives, f"`{type}`", is_result=True)
        """What decodes a result."""

    def __repr__(self) -> str:
        return f"<{builtins.type(self).__name__} {self.type}>"

    @overload
    async def submit(
        self: "JobRef[None, R]",
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> JobHandle[R]: ...

    @overload
    async def submit(
        self: "JobRef[P, R]",
        payload: P,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> JobHandle[R]: ...

    def submit(self, payload: Any = None, **options: Any) -> Coroutine[Any, Any, JobHandle[Any]]:
        """Submit a job of this type: within a handler through its worker, elsewhere through the client of `app.bind`.

        Takes the options of `Client.submit`; within a handler an `idempotency_key` belongs to the running job. To be
        awaited. Raises: NotBoundError, at the call and also where no event loop runs; ApiError.
        """
        return self._submitter("submit").submit(self, payload, **options)

    def submit_many(
        self: "JobRef[P, R]",
        payloads: Iterable[P],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Coroutine[Any, Any, BatchReceipt]:
        """Submit a job of this type for each payload. To be awaited. Raises: as `submit`."""
        key = {} if idempotency_key is None else {"idempotency_key": idempotency_key}
        return self._submitter("submit_many").submit_many(self, payloads, **key, **options)

    def _submitter(self, method: str) -> Submitter:
        submitter = current_submitter.get() or self._bound()
        require_loop(f"`{method}` of `{self.type}`")
        return submitter

    def _bound(self) -> Submitter:
        """Return what submits outside of handlers. Raises: NotBoundError."""
        raise NotBoundError(f"`{self.type}` is submitted within a handler, or by `client.submit(...)`")


class Contract(Protocol):
    """Makes a reference of a function without a body."""

    @overload
    def __call__(self, stub: Callable[[], R], /) -> JobRef[None, R]: ...

    @overload
    def __call__(self, stub: Callable[[P], R], /) -> JobRef[P, R]: ...


def contract(type: str, /) -> Contract:
    """Declare a job type that another code base handles; its function says what the type takes and gives.

        @contract("order.charge")
        def charge(order: Order) -> Receipt: ...

    Raises: HandlerError, when an annotation is missing or cannot be decoded.
    """

    def declare(stub: Callable[..., Any]) -> JobRef[Any, Any]:
        annotations = annotations_of(stub)
        parameters = list(inspect.signature(stub).parameters)
        if len(parameters) > 1 or any(name not in annotations for name in parameters):
            raise HandlerError(f"{place_of(stub)}: a contract takes one payload at most, with its type")
        takes = annotations[parameters[0]] if parameters else None
        return JobRef(type, takes=takes, gives=result_annotation(annotations))

    return typing.cast("Contract", declare)


def gives_of(job: object) -> DataType:
    """Return what decodes the results of a job: anything, for a type by its name."""
    return job.result_type if isinstance(job, JobRef) else ANYTHING


def check_job_type(job_type: Any) -> None:
    """Raise HandlerError unless a value can be the name of a job type."""
    if not isinstance(job_type, str):
        raise HandlerError(f"a job type is a text such as `order.charge`, not {job_type!r}")
    if not re.match(NAME_PATTERN, job_type):
        raise HandlerError(f"`{job_type}` is no job type: use a-z, 0-9, `.` and `-`, 64 characters at most")
