"""An app whose lifespans, generators, threads and logs a handler process has to look after.

Its notes go into the folder that UPKEEP_FOLDER names.
"""

import asyncio
import ctypes
import fcntl
import os
import signal
import stat
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import structlog

from millstream import App, Dead, Discard, Retry, Secret, SyncContext

SLOW_S = 1.0
"""The time that this module takes to load where UPKEEP_SLOWLY is set."""

if "UPKEEP_LOGS" in os.environ:
    structlog.configure(processors=[structlog.dev.ConsoleRenderer(colors=False)])
if "UPKEEP_SLOWLY" in os.environ:
    time.sleep(SLOW_S)

left: list[object] = []
"""What handlers leave behind in their process."""


def note(text: str) -> None:
    """Append a line to the notes."""
    with Path(os.environ["UPKEEP_FOLDER"], "closings").open("a") as notes:
        notes.write(f"{text}\n")


@asynccontextmanager
async def lifespan(app: App[str]) -> AsyncIterator[str]:
    """Change the process as apps do when they open, and note the end; that of `failing` fails. Not in the worker."""
    if os.environ.get("UPKEEP_WORKER") == str(os.getpid()):
        yield app.name
        return
    os.environ["OPENED"] = app.name
    try:
        yield app.name
    finally:
        note(app.name)
    if app.name == "failing":
        raise ConnectionError("the database does not close")


first = App("first", lifespan=lifespan)
second = App("second", lifespan=lifespan)
failing = App("failing", lifespan=lifespan)
app: App[None] = App("upkeep")


@first.job("upkeep.first", isolation="process")
def of_first() -> int:
    """Return the process."""
    return os.getpid()


@second.job("upkeep.second", isolation="process")
def of_second() -> int:
    """Return the process."""
    return os.getpid()


@failing.job("upkeep.failing", isolation="process")
def of_failing() -> int:
    """Return the process."""
    return os.getpid()


@second.job("upkeep.cancel", isolation="process")
async def cancel_others() -> int:
    """Cancel the task of the lifespan, as a library that cancels all tasks does."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    return os.getpid()


@second.job("upkeep.hang", isolation="process")
def hang(folder: str) -> None:
    """Wait until the job is cancelled."""
    Path(folder, "hangs").touch()
    time.sleep(600)


@app.job("upkeep.thread", isolation="process")
async def in_thread() -> list[int]:
    """Return the process, as a thread of the loop's own executor sees it."""
    return [await asyncio.to_thread(os.getpid), os.getpid()]


@app.job("upkeep.generator", isolation="process")
async def leave_generator() -> int:
    """Leave an asynchronous generator in the middle."""

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            note("generator")

    generator = numbers()
    left.append(generator)
    await anext(generator)
    return os.getpid()


@app.job("upkeep.deadline", isolation="process", timeout=60)
def deadline(ctx: SyncContext[None]) -> float | None:
    """Return what is left of the time."""
    return None if ctx.deadline is None else ctx.deadline - time.monotonic()


@app.job("upkeep.brief", isolation="process", timeout=SLOW_S / 2)
def brief() -> int:
    """Return the process."""
    return os.getpid()


@app.job("upkeep.files", isolation="process")
def inherited_files() -> list[str]:
    """Return the kinds of files that a program started here would inherit, besides the standard ones."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        try:
            passes_on = not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            kind = stat.S_IFMT(os.fstat(number).st_mode)
        except OSError:
            continue  # the listing itself
        if number > 2 and passes_on:
            found.append({stat.S_IFSOCK: "socket", stat.S_IFREG: "file"}.get(kind, oct(kind)))
    return found


@app.job("upkeep.say", isolation="process")
def say() -> int:
    """Log a line."""
    structlog.get_logger().info("said in a process")
    return os.getpid()


class Login(msgspec.Struct, frozen=True):
    """A payload with a secret, and how the attempt is to end."""

    how: str
    password: Secret[str]


@app.job("upkeep.secret", isolation="process", retry=Retry(max_attempts=1))
def use_secret(login: Login, ctx: SyncContext[None]) -> None:
    """End with the secret in every text that a handler can give."""
    ctx.progress(50.0, f"with {login.password}")
    structlog.get_logger().info("trying %s", login.password, given=[login.password])
    text = f"wrong {login.password}"
    raise {"dead": Dead, "discard": Discard}.get(login.how, ValueError)(text)


def elsewhere() -> None:
    """Wait in a thread beside the handler."""
    time.sleep(600)


@app.job("upkeep.crash", isolation="process", retry=Retry(max_attempts=1))
def crash() -> None:
    """Crash in the main thread, while another one runs."""
    threading.Thread(target=elsewhere, daemon=True).start()
    ctypes.string_at(0)


def crash_in_fork() -> None:
    """End this process by a read of the address 0."""
    ctypes.string_at(0)


@app.job("upkeep.fork", isolation="process", retry=Retry(max_attempts=1))
def fork() -> None:
    """Have a fork crash, and be killed without a crash."""
    child = os.fork()
    if child == 0:
        crash_in_fork()
    os.waitpid(child, 0)
    os.kill(os.getpid(), signal.SIGKILL)


@app.job("upkeep.signals", isolation="process")
def signals_of_a_fork() -> list[bool]:
    """Return whether a fork has the handler that this one has set, and the usual one where none was set."""
    signal.signal(signal.SIGTERM, own_handler)
    child = os.fork()
    if child == 0:
        has_own = signal.getsignal(signal.SIGTERM) is own_handler
        has_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        os._exit(2 * has_own + has_usual)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return [bool(status & 2), bool(status & 1)]


def own_handler(*_: object) -> None:
    """Take a signal."""


app.include(first, second, failing)
