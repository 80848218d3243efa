"""Reads from the annotations of a handler how it is called: its payload, its context, its result."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from millstream.context import BaseContext, Context, SyncContext
from millstream.errors import HandlerError
from millstream.jobs.annotations import annotations_of, data_type, place_of, result_annotation
from millstream.payloads import DataType


class Signature(Struct, frozen=True):
    """How a handler is called."""

    payload: Any
    """Type of the payload; Any when the handler takes none or does not care."""
    payload_type: DataType
    takes_payload: bool
    context: type[BaseContext[Any]] | None
    """The class of the context; None when the handler takes none."""
    result: Any


def inspect_signature(function: Callable[..., Any]) -> Signature:
    """Return how a handler is called. Raises: HandlerError."""
    where, hints = place_of(function), annotations_of(function)
    parameters = list(inspect.signature(function).parameters.values())
    context = _context_class(hints.get(parameters[-1].name)) if parameters else None
    if context is SyncContext and inspect.iscoroutinefunction(function):
        raise HandlerError(f"{where} is async: it takes a Context, because the calls of a SyncContext block")
    inputs = parameters[:-1] if context else parameters
    for parameter in inputs:
        if parameter.name not in hints:
            raise HandlerError(f"{where}: parameter `{parameter.name}` needs a type annotation")
        if parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}:
            raise HandlerError(f"{where}: parameter `{parameter.name}` must be positional")
    if len(inputs) > 1:
        raise HandlerError(f"{where}: a handler takes one payload and then, if it wants, a context")
    payload = hints[inputs[0].name] if inputs else Any
    return Signature(
        payload=payload,
        payload_type=data_type(payload, where, "payload"),
        takes_payload=bool(inputs),
        context=context,
        result=result_annotation(hints),
    )


def _context_class(annotation: Any) -> type[BaseContext[Any]] | None:
    """Return the class of a context, of which the annotation may name the state."""
    cls = typing.get_origin(annotation) or annotation
    return cls if cls is Context or cls is SyncContext else None
