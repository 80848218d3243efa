"""Handlers that raise what their payload names, under a `Retry` with rules, in the loop and in a process."""

from collections.abc import Callable
from typing import Any

from millstream import App, Context, Dead, Discard, Retry, Snooze, SyncContext
from millstream.context import BaseContext
from millstream.steering import Steering

app = App("raisers")


class BusyError(Exception):
    """An exception with data of its own."""

    def __init__(self, seconds: float) -> None:
        super().__init__("busy")
        self.seconds = seconds


class Declined(Dead):
    """A request with data of its own."""

    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


def decide(error: Exception, attempt: int) -> Steering | None:
    """Decide by the data of an exception, and by the attempt."""
    if isinstance(error, BusyError):
        return Snooze(error.seconds) if attempt == 1 else Discard("too busy")
    if isinstance(error, TypeError):
        raise LookupError("undecided")  # noqa: TRY004 - a mistake in a `decide`
    return None


RETRY = Retry(delays=[0, 0], dead_on=(ValueError,), discard_on=(LookupError,), decide=decide)

ERRORS: dict[str, Callable[[BaseContext[Any]], BaseException]] = {
    "value": lambda ctx: ValueError("no such city"),
    "key": lambda ctx: KeyError("oslo"),
    "group": lambda ctx: ExceptionGroup("one", [ValueError("no such city")]),
    "busy": lambda ctx: BusyError(0.01) if ctx.fence == 1 else OSError("then something else"),
    "declined": lambda ctx: Declined(5),
    "type": lambda ctx: TypeError("undecidable"),
    "os": lambda ctx: OSError("again and again"),
}


@app.job("loop", retry=RETRY)
async def on_loop(name: str, ctx: Context) -> None:
    """Raise."""
    raise ERRORS[name](ctx)


@app.job("process", retry=RETRY, isolation="process")
def in_process(name: str, ctx: SyncContext) -> None:
    """Raise, in a process."""
    raise ERRORS[name](ctx)
