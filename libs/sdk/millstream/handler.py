"""A registered handler: what a worker runs, and what others submit."""

import inspect
from collections.abc import Callable
from typing import Any, Generic, Unpack, overload

import msgspec
from typing_extensions import TypeVar

from millstream.context import BaseContext
from millstream.errors import HandlerError, NotBoundError
from millstream.function_reader import code_of, name_of, place_of
from millstream.job_options import Isolation
from millstream.jobs.job_ref import JobRef
from millstream.jobs.submitter import Submitter
from millstream.payloads import plain_payload
from millstream.schedules import DeclaredSchedule, ScheduleOptions, declared_schedule
from millstream.seconds import Seconds
from millstream.signature import Signature
from millstream.steering import Retry
from millstream_contracts import QueueLimits, TypePolicy, TypeRegistration, secret_places

P_contra = TypeVar("P_contra", contravariant=True, default=Any)
R_co = TypeVar("R_co", covariant=True, default=Any)
F = TypeVar("F", default=Any)
P = TypeVar("P")


class Handler(JobRef[P_contra, R_co], Generic[P_contra, R_co, F]):
    """A registered handler: `Handler[Order, Receipt]` takes an `Order` and gives a `Receipt`.

    It can be called like the function it wraps, in a test for example.
    """

    def __init__(
        self,
        job_type: str,
        function: F,
        signature: Signature,
        *,
        policy: TypePolicy,
        isolation: Isolation,
        retry: Retry,
        limits: QueueLimits | None = None,
        bound: Callable[[], Submitter | None],
        app: str = "",
    ) -> None:
        """`bound` returns what submits jobs outside of handlers; `app` is the name of the app. Raises: HandlerError."""
        takes: Any = signature.payload if signature.takes_payload else None
        super().__init__(job_type, takes=takes, gives=signature.result)
        plain: Any = function
        self.function = plain
        self.policy = policy
        self.isolation = isolation
        self.retry = retry
        self.limits = limits
        """What it declares of its queue."""
        self.signature = signature
        self.decode = signature.decode
        self.secrets = secret_places(signature.payload_type.schema)
        """Where its payload has secrets; None where nowhere."""
        self.code = code_of(plain)
        """The function that runs in the end, with a name and a source: that of a partial, of an object's `__call__`."""
        self._client = bound
        self.app = app
        """The name of the app in which it was registered."""
        self.schedules: list[DeclaredSchedule] = []
        """What it runs by itself."""
        self.__name__: str = name_of(plain)
        self.__doc__ = self.code.__doc__
        self.__wrapped__ = plain

    @property
    def __call__(self) -> F:
        """Call the function, here and now, with the function's own arguments."""
        function: F = self.function
        return function

    @overload
    def schedule(
        self: "Handler[None, Any, Any]",
        name: str,
        when: str | Seconds,
        payload: None = None,
        **options: Unpack[ScheduleOptions],
    ) -> None: ...

    @overload
    def schedule(
        self: "Handler[P, Any, Any]", name: str, when: str | Seconds, payload: P, **options: Unpack[ScheduleOptions]
    ) -> None: ...

    def schedule(self, name: str, when: str | Seconds, payload: Any = None, **options: Unpack[ScheduleOptions]) -> None:
        """Have a job of this type submitted by a schedule: at the times of a cron expression, or once an interval.

        Workers declare it when they start. Raises: HandlerError, when an option or the payload is wrong.
        """
        job = {"type": self.type, "payload": self._checked_payload(name, payload)}
        self.schedules.append(declared_schedule(name, when, job, app=self.app, **options))

    def _checked_payload(self, name: str, payload: Any) -> Any:
        """Return a payload as it is stored. Raises: HandlerError, when it could not be decoded."""
        try:
            plain = plain_payload(payload)
            self.decode(msgspec.msgpack.encode(plain))
        except Exception as error:  # the checks of a user's class may raise anything
            raise HandlerError(f"schedule `{name}`: the payload is none of `{self.type}`: {error}") from error
        return plain

    def _bound(self) -> Submitter:
        client = self._client()
        if client is None:
            raise NotBoundError(
                f"cannot submit `{self.type}`: no handler runs in this thread or task, and no client is bound; "
                "call app.bind(client) first, or `ctx.submit(...)` in a thread that a handler has started"
            )
        return client

    def arguments(self, payload: Any, context: BaseContext[Any] | None) -> tuple[Any, ...]:
        """Return the arguments of the function; the context may be None if the function takes none."""
        given = (payload,) if self.signature.takes_payload else ()
        return (*given, context) if self.signature.context is not None else given

    def registration(self, code_version: str = "") -> TypeRegistration:
        """Return the description of this type that workers publish."""
        doc = inspect.getdoc(self.code) or ""
        return msgspec.convert(
            {
                "type": self.type,
                "policy": self.policy,
                "payload_schema": self.signature.payload_type.schema,
                "result_schema": self.result_type.schema,
                "description": doc.partition("\n\n")[0].replace("\n", " "),
                "handler": place_of(self.function),
                "code_version": code_version,
            },
            TypeRegistration,
        )
