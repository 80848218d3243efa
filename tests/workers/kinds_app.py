"""Handlers of every kind that can be called, on the loop, in threads and in processes."""

import asyncio
import functools
from typing import Any

from millstream import App, Context, Retry

app = App("kinds")
ONCE = Retry(max_attempts=1)


def wrapped(function: Any) -> Any:
    """Wrap a function in a plain one, which names it."""

    @functools.wraps(function)
    def inner(*args: Any) -> Any:
        return function(*args)

    return inner


def blocking(function: Any) -> Any:
    """Wrap an async function in a plain one, which runs it to its end."""

    @functools.wraps(function)
    def inner(*args: Any) -> Any:
        return asyncio.run(function(*args))

    return inner


async def twice(number: int, ctx: Context) -> int:
    """Return the double."""
    await asyncio.sleep(0)
    return 2 * number if ctx.job_id else 0


class Multiplier:
    """An object that can be called."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    async def __call__(self, number: int) -> int:
        """Return the product."""
        await asyncio.sleep(0)
        return self.factor * number


def scaled(factor: int, number: int) -> int:
    """Return the product."""
    return factor * number


def added(items: list[int] = [1]) -> int:  # noqa: B006 - each job has its own
    """Change the default, and return its length."""
    items.append(2)
    return len(items)


for where in ("loop", "thread", "process"):
    app.job(f"wrapped.{where}", isolation=where, retry=ONCE)(wrapped(twice))  # type: ignore[arg-type]
for where in ("thread", "process"):
    app.job(f"blocking.{where}", isolation=where, retry=ONCE)(blocking(twice))  # type: ignore[arg-type]
    app.job(f"partial.{where}", isolation=where, retry=ONCE)(functools.partial(scaled, 2))  # type: ignore[arg-type]
    app.job(f"added.{where}", isolation=where, retry=ONCE)(added)  # type: ignore[arg-type]
for where in ("loop", "process"):
    app.job(f"object.{where}", isolation=where, retry=ONCE)(Multiplier(2))  # type: ignore[arg-type]
