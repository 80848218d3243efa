"""What the handlers of the system tests do: it shows in files, so that effects can be counted from outside.

`folder` in a payload is where a handler notes what it does, and looks for `go`, the word that it may end.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import anyio
import msgspec

from millstream import App, Context, Dead, Retry

LOOK_EVERY_S = 0.01
BUSY_S = 0.02

app = App("chores")


class Chore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a handler says what it does."""

    folder: str
    n: int = 0

    @property
    def may_end(self) -> bool:
        """Whether the test has said so."""
        return Path(self.folder, "go").exists()

    def note(self, ctx: Context, event: str) -> None:
        """Append a line to the notes; one write, so that lines of several processes do not mix."""
        line = {"event": event, "job": ctx.job_id, "pid": os.getpid(), "attempt": ctx.attempt, "fence": ctx.fence}
        with Path(self.folder, "notes").open("a") as notes:
            notes.write(json.dumps(line) + "\n")


class BusyError(Exception):
    """The first attempt meets it."""


@app.job("chore.count")
async def count(chore: Chore, ctx: Context) -> int:
    """Leave one line and a number."""
    await anyio.sleep(BUSY_S)
    chore.note(ctx, "done")
    return chore.n


@app.job("chore.gate")
async def gate(chore: Chore, ctx: Context) -> int:
    """Run until it may end, or is stopped."""
    chore.note(ctx, "started")
    try:
        while not chore.may_end:  # noqa: ASYNC110 - the word comes from another process
            await anyio.sleep(LOOK_EVERY_S)
    except BaseException:
        chore.note(ctx, "stopped")
        raise
    chore.note(ctx, "done")
    return ctx.fence


@app.job("chore.thread")
def thread(chore: Chore, ctx: Context) -> int:
    """Do the same in a thread, which has to look whether it is stopped."""
    chore.note(ctx, "started")
    while not chore.may_end:
        if ctx.cancelled:
            chore.note(ctx, "stopped")
            return 0
        time.sleep(LOOK_EVERY_S)
    return ctx.fence


@app.job("chore.process", isolation="process")
def process(chore: Chore, ctx: Context) -> int:
    """Do the same in a process, which cannot be asked."""
    chore.note(ctx, "started")
    while not chore.may_end:
        time.sleep(LOOK_EVERY_S)
    return ctx.fence


@app.job("chore.retried", retry=Retry(max_attempts=3, base=0.05, cap=0.1))
async def retried(ctx: Context) -> int:
    """Fail once, then succeed."""
    if ctx.attempt == 1:
        raise BusyError("come back later")
    return ctx.attempt


@app.job("chore.hopeless", retry=Retry(max_attempts=1))
async def hopeless(payload: Any) -> None:
    """Die of what the payload says; of nothing in particular, without one."""
    raise ValueError(payload) if payload else ValueError


@app.job("chore.closed")
async def closed() -> None:
    """Know at once that it cannot succeed."""
    raise Dead("account closed")


@app.job("chore.parent")
async def parent(chore: Chore, ctx: Context) -> str:
    """Submit a child job."""
    child = await ctx.submit("chore.count", chore)
    return str(child.id)


@app.job("chore.now")
async def now() -> int:
    """Return the time, Unix nanoseconds, at which the handler ran."""
    return time.time_ns()


@app.job("chore.digest", isolation="process")
def digest(text: str) -> str:
    """Compute in a process of its own."""
    return hashlib.sha256(text.encode()).hexdigest()
