"""Handlers that return a value that their payload names, each with an annotation, in the loop and in a process."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import BaseModel

from millstream import App

app = App("givers")


class Receipt(Struct):
    """A result."""

    order_id: int
    total: float


class Model(BaseModel):
    """A result of pydantic."""

    order_id: int
    files: list[Path] = []


def wrong(value: Any) -> Receipt:
    """Return a receipt that no type checker would accept."""
    return Receipt(1, value)


VALUES: dict[str, Callable[[], Any]] = {
    "receipt": lambda: Receipt(1, 2.5),
    "dict": lambda: {"order_id": 1, "total": 3},
    "model": lambda: Model(order_id=1, files=[Path("a/b")]),
    "model as dict": lambda: {"order_id": 1},
    "path": lambda: Path("a/b"),
    "none": lambda: None,
    "wrong": lambda: wrong("much"),
    "missing": lambda: {"total": 1.0},
    "text": lambda: "text",
    "infinite": lambda: wrong(math.inf),
    "nan": lambda: {"rows": [{"a": 1.0}, {"a": math.nan}]},
    "looks infinite": lambda: {"text": b"\xcb\x7f\xff".decode("latin-1"), "data": b"\xcb\x7f\xff", "huge": 1.7e308},
    "wrong model": lambda: Model.model_construct(order_id="one"),
}
"""What a handler may return, by the name that its payload has."""

ANNOTATIONS: dict[str, Any] = {
    "receipt": Receipt,
    "model": Model,
    "path": Path,
    "nothing": None,
    "anything": Any,
    "maybe": Receipt | None,
}
"""What a handler is annotated with, by the name that its job type ends with."""


def register(name: str, annotation: Any) -> None:
    """Register two handlers with an annotation."""

    async def on_loop(name: str) -> Any:
        """Return a value."""
        return VALUES[name]()

    def in_process(name: str) -> Any:
        """Return a value, in a process."""
        return VALUES[name]()

    on_loop.__annotations__["return"] = in_process.__annotations__["return"] = annotation
    app.job(f"loop.{name}")(on_loop)
    app.job(f"process.{name}", isolation="process")(in_process)


for one, kind in ANNOTATIONS.items():
    register(one, kind)
