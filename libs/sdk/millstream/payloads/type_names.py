"""Names types: as definitions of a schema, and in messages."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from msgspec import inspect as mi

from millstream.payloads.type_reader import unwrapped


def class_name(cls: Any) -> str:
    """Return the name of a class, with its arguments if it is a generic one."""
    if origin := typing.get_origin(cls):
        arguments = (one.__name__ if isinstance(one, type) else repr(one) for one in typing.get_args(cls))
        return f"{origin.__name__}[{', '.join(arguments)}]"
    return str(cls.__name__)


def numbered(*names: str) -> Iterator[str]:
    """Yield these names, and then the last one with numbers."""
    yield from names
    number = 2
    while True:
        yield f"{names[-1]}_{number}"
        number += 1


def doc_of(cls: Any) -> str:
    """Return the docstring of a class; nothing for one that Python has made."""
    cls = typing.get_origin(cls) or cls
    doc = inspect.cleandoc(cls.__doc__ or "")
    # Generated docstrings of dataclasses and NamedTuples describe nothing.
    is_made = doc.startswith(f"{cls.__name__}(") and doc.endswith(")")
    return "" if is_made or doc == "An enumeration." else doc


def shown_name(info: mi.Type) -> str:
    """Return the name of a type, for messages."""
    cls = getattr(unwrapped(info), "cls", None)
    kind = type(unwrapped(info)).__name__.removesuffix("Type").lower()
    return f"`{class_name(cls)}`" if cls is not None else f"`{kind}`"
