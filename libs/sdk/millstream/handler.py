"""A function with the job type that it handles: what it takes, what it gives, how it is run."""

import inspect
import types
import typing
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar

import msgspec
from msgspec import Struct

from millstream.context import Context, Submitter, current_submitter
from millstream.errors import HandlerError, NotBoundError
from millstream.payloads import PayloadType, unsafe_union
from millstream_contracts import TypePolicy, TypeRegistration

if TYPE_CHECKING:
    from millstream.app import App

P = ParamSpec("P")
R = TypeVar("R")

Isolation = Literal["loop", "thread", "process"]
"""Where a handler runs: on the event loop, in a thread, or in a process that can be killed."""


class Signature(Struct, frozen=True):
    """How a handler is called."""

    payload: Any
    """Type of the payload; Any when the handler takes none or does not care."""
    payload_type: PayloadType
    takes_payload: bool
    takes_context: bool
    result: Any


class Handler(Generic[P, R]):
    """A registered handler. It is still the function: call it as such in a test."""

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
        """Run the function itself, here and now."""
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
        """Return what to call the function with; the context may be missing if it takes none."""
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


def inspect_signature(function: Callable[..., Any]) -> Signature:
    """Read from a handler's annotations how it is called. Raises: HandlerError."""
    where = f"{function.__module__}:{function.__qualname__}"
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise HandlerError(f"{where}: an annotation cannot be read: {error}") from error
    parameters = list(inspect.signature(function).parameters.values())
    takes_context = bool(parameters) and hints.get(parameters[-1].name) is Context
    inputs = parameters[:-1] if takes_context else parameters
    for parameter in inputs:
        if parameter.name not in hints:
            raise HandlerError(f"{where}: parameter `{parameter.name}` needs a type annotation")
        if parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}:
            raise HandlerError(f"{where}: parameter `{parameter.name}` must be positional")
    if len(inputs) > 1:
        raise HandlerError(f"{where}: a handler takes one payload and then, if it wants, a Context")
    payload = hints[inputs[0].name] if inputs else Any
    return Signature(
        payload=payload,
        payload_type=_payload_type(payload, where),
        takes_payload=bool(inputs),
        takes_context=takes_context,
        result=_result_type(hints.get("return", Any)),
    )


def _payload_type(annotation: Any, where: str) -> PayloadType:
    try:
        return PayloadType(annotation)
    except HandlerError as error:
        raise HandlerError(f"{where}: a payload of type {_shown(annotation)} {error}") from error.__cause__


def _shown(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)


def _result_type(annotation: Any) -> Any:
    if annotation is types.NoneType:
        return None
    if typing.get_origin(annotation) is Coroutine:
        return typing.get_args(annotation)[2]
    return annotation
