"""Handlers of the system tests write what they do to files, so that their effects can be counted from outside.

`folder` in a payload is where a handler writes its notes, and where it looks for the file `go`, at which it ends.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, Literal

import anyio
import msgspec
import structlog

from millstream import App, Context, Dead, Retry, Secret

LOOK_EVERY_S = 0.01
BUSY_S = 0.02

app = App("chores")


class Chore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The folder in which a handler writes its notes."""

    folder: str
    n: int = 0

    @property
    def may_end(self) -> bool:
        """Return whether the test has written the `go` file."""
        return Path(self.folder, "go").exists()

    def note(self, ctx: Context, event: str) -> None:
        """Append a line to the notes; one write, so that lines of several processes do not mix."""
        line = {"event": event, "job": ctx.job_id, "pid": os.getpid(), "attempt": ctx.attempt, "fence": ctx.fence}
        with Path(self.folder, "notes").open("a") as notes:
            notes.write(json.dumps(line) + "\n")


class BusyError(Exception):
    """The error of the first attempt."""


@app.job("chore.count")
async def count(chore: Chore, ctx: Context) -> int:
    """Write one note and return a number."""
    await anyio.sleep(BUSY_S)
    chore.note(ctx, "done")
    return chore.n


@app.job("chore.gate")
async def gate(chore: Chore, ctx: Context) -> int:
    """Run until the `go` file is there or the handler is stopped."""
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
    """Run as `gate` in a thread, which has to check whether it is stopped."""
    chore.note(ctx, "started")
    while not chore.may_end:
        if ctx.cancelled:
            chore.note(ctx, "stopped")
            return 0
        time.sleep(LOOK_EVERY_S)
    return ctx.fence


@app.job("chore.process", isolation="process")
def process(chore: Chore, ctx: Context) -> int:
    """Run as `gate` in a process, which cannot check."""
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
    """Fail with the text of the payload, or with a fixed one."""
    raise ValueError(payload) if payload else ValueError


@app.job("chore.closed")
async def closed() -> None:
    """Bury the job at once."""
    raise Dead("account closed")


@app.job("chore.parent")
async def parent(chore: Chore, ctx: Context) -> str:
    """Submit a child job."""
    child = await ctx.submit("chore.count", chore)
    return str(child.id)


@app.job("chore.now")
async def now() -> int:
    """Return the time, in Unix nanoseconds, at which the handler ran."""
    return time.time_ns()


@app.job("chore.digest", isolation="process")
def digest(text: str) -> str:
    """Compute in a process of its own."""
    return hashlib.sha256(text.encode()).hexdigest()


class Login(msgspec.Struct, frozen=True):
    """What must not be seen."""

    how: Literal["succeed", "retry", "fail", "die", "process"]
    password: Secret[str]
    pin: Secret[int]


@app.job("chore.vault", retry=Retry(max_attempts=2, base=0.05, cap=0.1))
async def vault(login: Login, ctx: Context) -> Secret[str]:
    """Say the secret in every text that a handler has, and give it."""
    return _open(login, ctx.attempt)


@app.job("chore.vault.process", isolation="process")
def vault_in_process(login: Login) -> Secret[str]:
    """Do the same in a process of its own."""
    return _open(login, 1)


def _open(login: Login, attempt: int) -> str:
    structlog.get_logger().info("trying %s", login.password, given={"pin": login.pin})
    if login.how == "die":
        raise Dead(f"wrong {login.password}")
    if login.how == "fail" or (login.how == "retry" and attempt == 1):
        raise ValueError(f"wrong {login.password} and {login.pin}")
    return f"session of {login.password}"
