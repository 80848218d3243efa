"""Reads the annotations of functions that users write."""

import types
import typing
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from millstream.errors import HandlerError
from millstream.payloads import DataType


def place_of(function: Callable[..., Any]) -> str:
    """Return `module:function`, for messages."""
    return f"{function.__module__}:{function.__qualname__}"


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function as types. Raises: HandlerError."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise HandlerError(f"{place_of(function)}: an annotation cannot be read: {error}") from error


def result_annotation(annotations: dict[str, Any]) -> Any:
    """Return what a function gives once it has ended; Any where it does not say."""
    annotation = annotations.get("return", Any)
    if annotation is types.NoneType:
        return None
    if typing.get_origin(annotation) in {Coroutine, Awaitable}:
        return typing.get_args(annotation)[-1]
    return annotation


def data_type(annotation: Any, where: str, what: str) -> DataType:
    """Return the type of a payload or a result; `what` says which. Raises: HandlerError, which says where it stands."""
    try:
        return DataType(annotation)
    except HandlerError as error:
        shown = annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)
        raise HandlerError(f"{where}: a {what} of type {shown} {error}") from error.__cause__
