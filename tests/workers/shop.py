"""An app for the workers and handler processes that tests start; its handlers write to files what they do.

`folder` in a payload is where a handler writes its notes, and where it looks for the file `go`, at which it ends.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import structlog

from millstream import App, Context, Dead, Discard, Retry, Secret, Snooze

print("printed while the module is imported")  # noqa: T201

LOOK_EVERY_S = 0.01


class Work(msgspec.Struct, frozen=True):
    """What a handler is to do, and the folder in which it writes notes."""

    folder: str = ""
    what: str = ""
    n: int = 0

    @property
    def may_end(self) -> bool:
        """Return whether the test has written the `go` file."""
        return Path(self.folder, "go").exists()

    async def until_it_may_end(self) -> None:
        """Wait for the `go` file of the test."""
        while not self.may_end:  # noqa: ASYNC110 - the test is another process
            await anyio.sleep(LOOK_EVERY_S)

    def note(self, ctx: Context, event: str, **more: Any) -> None:
        """Append a line to the notes; one write, so that lines of several processes do not mix."""
        line = json.dumps({"event": event, "job": ctx.job_id, "fence": ctx.fence, "pid": os.getpid(), **more})
        with Path(self.folder, "notes").open("a") as notes:
            notes.write(line + "\n")


class AccountClosed(Dead):
    """A Discard under a name of the user's own."""


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
    """Yield what the handlers share, and note its end in the folder that SHOP_FOLDER names."""
    yield {"app": app.name, "pid": os.getpid()}
    folder = os.environ.get("SHOP_FOLDER")
    if folder:
        Path(folder, f"closed-{os.getpid()}").touch()  # noqa: ASYNC240


app = App("shop", lifespan=lifespan)


@app.job("gate")
async def gate(work: Work, ctx: Context) -> int:
    """Run until it may end."""
    work.note(ctx, "started", attempt=ctx.attempt)
    await work.until_it_may_end()
    work.note(ctx, "ended")
    return ctx.fence


@app.job("defiant")
async def defiant(work: Work, ctx: Context) -> int:
    """Run until it may end; answer a cancellation with an error, as drivers do whose connection is cut."""
    try:
        return await gate(work, ctx)
    except anyio.get_cancelled_exc_class():
        raise ConnectionError("the connection was closed") from None


@app.job("stubborn")
def stubborn(work: Work, ctx: Context) -> int:
    """Run in a thread until the handler may end, even when it is stopped."""
    work.note(ctx, "started")
    while not work.may_end:
        time.sleep(LOOK_EVERY_S)
    return ctx.fence


@app.job("poison")
async def poison(work: Work, ctx: Context) -> None:
    """Kill the whole worker."""
    work.note(ctx, "started")
    os.kill(os.getpid(), signal.SIGKILL)


@app.job("parent")
async def parent(work: Work, ctx: Context) -> str:
    """Wait for the `go` file, then submit a child."""
    work.note(ctx, "started")
    await work.until_it_may_end()
    child = await ctx.submit("gate", work)
    return str(child.id)


@app.job("process.gate", isolation="process")
def process_gate(work: Work, ctx: Context) -> int:
    """Run in a process until the handler may end, after some progress."""
    work.note(ctx, "started")
    ctx.progress(40, "nearly half")
    while not work.may_end:
        time.sleep(LOOK_EVERY_S)
    return os.getpid()


@app.job("process.spin", isolation="process", timeout=0.3, retry=Retry(max_attempts=1))
def process_spin(work: Work, ctx: Context) -> None:
    """Compute without an end."""
    work.note(ctx, "started")
    while True:
        pass


@app.job("process.pid", isolation="process")
def process_pid() -> int:
    """Return the process id."""
    return os.getpid()


@app.job("process.state", isolation="process")
async def process_state(ctx: Context) -> dict[str, Any]:
    """Return the state that the lifespan of the app has yielded."""
    return {**ctx.state, "here": os.getpid(), "attempt": ctx.attempt, "fence": ctx.fence, "tags": ctx.tags}


@app.job("process.print", isolation="process")
def process_print(work: Work, ctx: Context) -> int:
    """Write to standard output through each layer that can write to it."""
    print("printed", work.n, flush=True)  # noqa: T201
    os.write(1, b"\x00\x00\x00\x05junk!")
    sys.stdout.buffer.write(b"\xff" * 5000)
    subprocess.run(["sh", "-c", "echo from a child"], check=True)
    return work.n


@app.job("process.breakpoint", isolation="process", timeout=10.0)
def process_breakpoint() -> int:
    """Stop in a debugger, where there is a terminal for one."""
    breakpoint()
    return 0


@app.job("process.stdin", isolation="process", timeout=10.0)
def process_stdin() -> int:
    """Run a program that reads all of its standard input, as ffmpeg does."""
    return len(subprocess.run(["cat"], check=True, capture_output=True).stdout)


def _raise(error: BaseException) -> Any:
    raise error


ENDINGS: dict[str, Callable[[], Any]] = {
    "raise": lambda: _raise(ValueError("nine")),
    "retry": lambda: _raise(Retry.after(0.0)),
    "snooze": lambda: _raise(Snooze(0.0)),
    "discard": lambda: _raise(Discard("not wanted")),
    "dead": lambda: _raise(Dead("no such account")),
    "own dead": lambda: _raise(AccountClosed("closed")),
    "odd dead": lambda: _raise(Dead(ValueError("an object"))),  # type: ignore[arg-type]
    "exit": lambda: sys.exit(3),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "os exit": lambda: os._exit(7),
    "object": object,
    "huge int": lambda: 2**64,
    "surrogate": lambda: "\ud800",
    "too large": lambda: "x" * (1 << 20),
}


@app.job("process.steer", isolation="process", retry=Retry(max_attempts=2, base=0.0))
def process_steer(work: Work, ctx: Context) -> Any:
    """End in the way that the payload names at the first delivery, and succeed at the second."""
    return "well" if ctx.fence > 1 else ENDINGS[work.what]()


@app.job("process.secret", isolation="process", retry=Retry(max_attempts=1))
def tell_a_secret(word: Secret[str]) -> None:
    """Log a secret, and fail with it."""
    structlog.get_logger().info("trying %s", word)
    raise ValueError(f"wrong {word}")


@app.job("process.logs", isolation="process", retry=Retry(max_attempts=1))
def log_and_end(what: str) -> None:
    """Log from the process, and end it or the attempt in the way that `what` says."""
    structlog.get_logger().info("begun", what=what)
    logging.getLogger("library").warning("%d left", 3)
    if what == "fork":
        with suppress(ChildProcessError):
            child = os.fork()
            if not child:
                structlog.get_logger().info("of the fork")
                os._exit(0)
            os.waitpid(child, 0)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        time.sleep(60)
    raise ValueError(what)
