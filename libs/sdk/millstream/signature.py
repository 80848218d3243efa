"""Reads from the annotations of a handler how it is called: its payload, its context, its result."""

import inspect
import types
import typing
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from millstream.context import Context
from millstream.errors import HandlerError
from millstream.payloads import PayloadType


class Signature(Struct, frozen=True):
    """How a handler is called."""

    payload: Any
    """Type of the payload; Any when the handler takes none or does not care."""
    payload_type: PayloadType
    takes_payload: bool
    takes_context: bool
    result: Any


def inspect_signature(function: Callable[..., Any]) -> Signature:
    """Return how a handler is called. Raises: HandlerError."""
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
