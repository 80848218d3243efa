"""Reads from the annotations of a handler how it is called: its payload, its context, its result."""

import types
import typing
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any

import msgspec
from msgspec import Struct

from millstream.context import BaseContext, BlockingContext, Context, SyncContext
from millstream.cron_context import CronContext
from millstream.durable.durable_context import DurableContext, SyncDurableContext
from millstream.errors import HandlerError
from millstream.function_reader import is_async, parameters_of, place_of
from millstream.jobs.annotations import annotations_of, data_type, result_annotation
from millstream.payloads import DataType, plain_payload

_CONTEXTS = (Context, SyncContext, DurableContext, SyncDurableContext, CronContext)
_NAMES = ", ".join(kind.__name__ for kind in _CONTEXTS)

_ONE_PAYLOAD = "a handler takes one payload and then, if it wants, a context"


class Signature(Struct, frozen=True):
    """How a handler is called."""

    payload: Any
    """Type of the payload; Any when the handler takes none or does not care."""
    payload_type: DataType
    takes_payload: bool
    context: type[BaseContext[Any]] | None
    """The class of the context; None when the handler takes none."""
    result: Any
    default: bytes | None = None
    """What a job without a payload has, in MessagePack; None when the parameter has no default."""

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """What decodes a payload. A default is decoded anew for each job, so that none sees what another made of it."""
        decode, default = self.payload_type.decode, self.default
        if default is None:
            return decode

        def decode_or_default(blob: bytes) -> Any:
            value = decode(blob)
            return decode(default) if value is None else value

        return decode_or_default


def inspect_signature(function: Callable[..., Any]) -> Signature:
    """Return how a handler is called. Raises: HandlerError."""
    where, hints, parameters = place_of(function), annotations_of(function), parameters_of(function)
    if parameters and parameters[0].name in {"self", "cls"} and parameters[0].name not in hints:
        raise HandlerError(f"{where} is a method: register a function, a static method or a bound method")
    payload, context = _split(where, parameters, hints)
    if context is DurableContext and not is_async(function):
        raise HandlerError(f"{where} is not async: it takes a SyncDurableContext, because nothing awaits its steps")
    if context is not None and issubclass(context, BlockingContext) and is_async(function):
        raise HandlerError(f"{where} is async: it takes a Context, because the calls of a {context.__name__} block")
    if payload is None:
        return Signature(Any, DataType(Any), False, context, result_annotation(hints))
    annotation = _annotation(where, payload, hints)
    kind = data_type(annotation, where, is_result=False)
    default = None
    if payload.default is not Parameter.empty:
        default = _encoded_default(where, payload, kind)
        annotation = annotation if annotation in (Any, object) else typing.Union[annotation, None]  # noqa: UP007 - any form
        kind = data_type(annotation, where, is_result=False)
    return Signature(annotation, kind, True, context, result_annotation(hints), default)


def _split(
    where: str, parameters: Sequence[Parameter], hints: dict[str, Any]
) -> tuple[Parameter | None, type[BaseContext[Any]] | None]:
    """Return the parameter of the payload and the class of the context. Others are left to their defaults."""
    positional: list[Parameter] = []
    for parameter in parameters:
        is_optional = parameter.default is not Parameter.empty
        if parameter.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}:
            raise HandlerError(
                f"{where}: parameter `{_shown(parameter)}` must be positional; a decorator has to name the function "
                "that it wraps, by functools.wraps"
            )
        if parameter.kind is not Parameter.KEYWORD_ONLY:
            positional.append(parameter)
        elif not is_optional or _context_class(where, hints.get(parameter.name)):
            raise HandlerError(f"{where}: parameter `{parameter.name}` must be positional")
    contexts = [_context_class(where, hints.get(parameter.name)) for parameter in positional]
    at = next((place for place, context in enumerate(contexts) if context), None)
    taken = len(positional[:1]) if at is None else at + 1
    for parameter, context in list(zip(positional, contexts, strict=True))[taken:]:
        if context or parameter.default is Parameter.empty:
            raise HandlerError(f"{where}: {_ONE_PAYLOAD}")
    if taken > 2:
        raise HandlerError(f"{where}: {_ONE_PAYLOAD}")
    payload = positional[0] if positional and at != 0 else None
    return payload, None if at is None else contexts[at]


def _shown(parameter: Parameter) -> str:
    return str(parameter).partition(":")[0]


def _annotation(where: str, payload: Parameter, hints: dict[str, Any]) -> Any:
    if payload.name in hints:
        return hints[payload.name]
    raise HandlerError(f"{where}: parameter `{payload.name}` needs a type annotation")


def _encoded_default(where: str, payload: Parameter, kind: DataType) -> bytes:
    """Return the default of a payload. Raises: HandlerError, for one that could not arrive as a payload."""
    try:
        encoded = msgspec.msgpack.encode(plain_payload(payload.default))
        kind.decode(encoded)
    except Exception as error:  # the checks of a user's class may raise anything
        raise HandlerError(
            f"{where}: the default of `{payload.name}` is {payload.default!r}, which is no {kind.name}"
        ) from error
    return encoded


def _context_class(where: str, annotation: Any) -> type[BaseContext[Any]] | None:
    """Return the class of a context, of which the annotation may name the state, and which may be optional."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        members = [one for one in typing.get_args(annotation) if one is not types.NoneType]
        return _context_class(where, members[0]) if len(members) == 1 else None
    cls = typing.get_origin(annotation) or annotation
    if not isinstance(cls, type) or not issubclass(cls, BaseContext):
        return None
    if cls in _CONTEXTS:
        return cls
    raise HandlerError(f"{where}: a context is one of {_NAMES}, not a {cls.__qualname__}")
