"""Reads the annotations of functions that users write."""

import types
import typing
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from millstream.errors import HandlerError
from millstream.function_reader import code_of, place_of
from millstream.payloads import DataType


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function as types. Raises: HandlerError."""
    try:
        return typing.get_type_hints(code_of(function), include_extras=True)
    except NameError as error:
        raise HandlerError(
            f"{place_of(function)}: an annotation cannot be read: {error}; define or import it in the module, above "
            "the function and not only for TYPE_CHECKING"
        ) from error
    except Exception as error:  # an annotation that is text may be any expression
        raise HandlerError(f"{place_of(function)}: an annotation cannot be read: {error}") from error


def result_annotation(annotations: dict[str, Any]) -> Any:
    """Return what a function gives once it has ended; Any where it does not say."""
    annotation = annotations.get("return", Any)
    if annotation is types.NoneType:
        return None
    if typing.get_origin(annotation) in {Coroutine, Awaitable}:
        return typing.get_args(annotation)[-1]
    return annotation


def data_type(annotation: Any, where: str, *, is_result: bool) -> DataType:
    """Return the type of a payload or a result. Raises: HandlerError, which says `where` it stands."""
    try:
        return DataType(annotation, is_result=is_result)
    except HandlerError as error:
        shown = annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)
        what = "result" if is_result else "payload"
        raise HandlerError(f"{where}: a {what} of type {shown} {error}") from error.__cause__
