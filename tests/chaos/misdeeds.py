"""Handlers of the chaos suite that misbehave towards their worker and the jobs beside them in every way.

Each misbehaves at its first delivery and works at a later one. Each checks first whether another job has left anything
in the context that it starts with.
"""

import asyncio
import decimal
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import structlog
from chaos.effects import leave
from chaos.task import Task
from opentelemetry import baggage
from opentelemetry.context import attach

from millstream import App, Context, Discard, Retry, Snooze

app = App("misdeeds")

RELEASE = "CHAOS_RELEASE"
"""The variable that says which release of the handlers a worker runs: `old` or `new`."""

SOON = Retry(max_attempts=6, base=0.1, cap=0.4)
WHO: ContextVar[str] = ContextVar("who", default="")
PRECISION = decimal.getcontext().prec
HERE = Path.cwd()
PATH = os.environ.get("PATH")
STEP_S = 0.05
LATER_S = 0.3
SNOOZE_S = 1.0


class PanicError(BaseException):
    """An error as panics of Rust extensions raise it, which is no Exception."""


class OwnSnooze(Snooze):
    """A Snooze without the constructor of its base."""

    def __init__(self) -> None:
        pass


class UnspeakableError(Exception):
    """An error whose text cannot be read."""

    def __getattribute__(self, name: str) -> Any:
        raise PanicError(name)

    def __str__(self) -> str:
        raise PanicError("no words")


class Unprintable:
    """A value without a text."""

    def __repr__(self) -> str:
        raise PanicError("no words")

    __str__ = __repr__


def look_around(ctx: Context, key: str) -> None:
    """Leave an effect when another job has left something in the context that this one starts with."""
    found = {
        "who": WHO.get(),
        "log": "customer" in structlog.contextvars.get_contextvars(),
        "baggage": baggage.get_all(),
        "precision": decimal.getcontext().prec != PRECISION,
        "folder": Path.cwd() != HERE,
        "environment": os.environ.get("PATH") != PATH,
    }
    for name, stain in found.items():
        if stain:
            leave(f"stained {name}", ctx, key)


async def raise_panic(_: Context) -> None:
    """Raise a BaseException."""
    raise PanicError("a panic")


async def raise_unspeakable(_: Context) -> None:
    """Raise an error whose text cannot be read."""
    raise UnspeakableError


async def wish_badly(_: Context) -> None:
    """Raise a Snooze without a delay."""
    raise OwnSnooze


async def wish_in_group(_: Context) -> None:
    """Raise two outcome requests at once."""
    raise ExceptionGroup("both", [Discard("no"), Snooze(SNOOZE_S)])


async def leave_process(_: Context) -> None:
    """Call `sys.exit`, as a script does."""
    sys.exit(3)


async def leave_from_task(_: Context) -> None:
    """Exit from a task of its own, which asyncio lets out of the loop."""

    async def leave() -> None:
        sys.exit(4)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leave())


async def cancel_oneself(_: Context) -> None:
    """Cancel the current task."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await anyio.lowlevel.checkpoint()


async def cancel_later(_: Context) -> None:
    """Leave a timer behind that cancels the current task."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(LATER_S, task.cancel)


async def stain(_: Context) -> None:
    """Change every part of the context."""
    WHO.set("another customer")
    structlog.contextvars.bind_contextvars(customer="another")
    attach(baggage.set_baggage("customer", "another"))
    decimal.getcontext().prec = 3


async def log_badly(ctx: Context) -> None:
    """Log a value without a text."""
    ring: list[Any] = []
    ring.append(ring)
    ctx.log.info("unprintable", thing=Unprintable(), ring=ring)
    ctx.progress(50, Unprintable())  # type: ignore[arg-type]


MISDEEDS: tuple[Callable[[Context], Coroutine[Any, Any, None]], ...] = (
    raise_panic,
    raise_unspeakable,
    wish_badly,
    wish_in_group,
    leave_process,
    leave_from_task,
    cancel_oneself,
    cancel_later,
    stain,
    log_badly,
)


THREAD_MISDEEDS = (raise_panic, raise_unspeakable, wish_badly, wish_in_group, leave_process, stain, log_badly)


@app.job("chaos.misdeed", retry=SOON)
async def misdeed(task: Task, ctx: Context) -> str:
    """Misbehave on the loop, and then work."""
    leave("started", ctx, task.key)
    look_around(ctx, task.key)
    if ctx.fence == 1:
        await MISDEEDS[task.times % len(MISDEEDS)](ctx)
        await anyio.sleep(STEP_S)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.misthread", retry=SOON)
def misthread(task: Task, ctx: Context) -> str:
    """Misbehave in a thread, and then work."""
    leave("started", ctx, task.key)
    look_around(ctx, task.key)
    if ctx.fence == 1:
        # The ones that wait for nothing, to their end.
        with suppress(StopIteration):
            THREAD_MISDEEDS[task.times % len(THREAD_MISDEEDS)](ctx).send(None)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.tidy", retry=SOON, timeout=0.3)
async def tidy(task: Task, ctx: Context) -> str:
    """Exceed its timeout at first, and clean up over several awaits."""
    leave("started", ctx, task.key)
    look_around(ctx, task.key)
    if ctx.fence == 1:
        try:
            await anyio.sleep_forever()
        finally:
            leave("untidy", ctx, task.key)
            await anyio.sleep(STEP_S)
            await anyio.sleep(STEP_S)
            leave("tidied", ctx, task.key)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.litter", retry=SOON, timeout=0.5, isolation="process")
def litter(task: Task, ctx: Context) -> str:
    """Start a program, change the state of the process, and exceed its timeout."""
    leave("started", ctx, task.key)
    look_around(ctx, task.key)
    if ctx.fence == 1:
        child = subprocess.Popen(["sleep", "3600"])
        leave(f"litter {child.pid}", ctx, task.key)
        os.chdir("/")
        os.environ["PATH"] = "/nowhere"
        os.umask(0o777)
        while True:
            time.sleep(STEP_S)
    leave("done", ctx, task.key)
    return task.key


class OldForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of the older release."""

    key: str
    color: str
    seconds: float = 0.0
    times: int = 0


class NewForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of the newer release, which no longer takes the old one."""

    key: str
    colour: str
    seconds: float = 0.0
    times: int = 0


if os.environ.get(RELEASE) == "new":

    @app.job("chaos.evolving", retry=SOON)
    async def new_evolving(task: NewForm, ctx: Context) -> str:
        """End at once, in the newer release."""
        leave("started", ctx, task.key)
        leave("done", ctx, task.key)
        return task.colour

else:

    @app.job("chaos.evolving", retry=SOON)
    async def old_evolving(task: OldForm, ctx: Context) -> str:
        """Do nothing that takes time, in the older release."""
        leave("started", ctx, task.key)
        leave("done", ctx, task.key)
        return task.color
