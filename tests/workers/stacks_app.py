"""Handlers of each kind that wait for the file `go` in the folder of their payload."""

import asyncio
import time
from pathlib import Path

from millstream import App

app = App("stacks")


def hold(folder: str) -> None:
    """Wait in a plain function."""
    while not Path(folder, "go").exists():
        time.sleep(0.01)


async def wait_for_it(folder: str) -> None:
    """Wait in a coroutine."""
    while not Path(folder, "go").exists():  # noqa: ASYNC110, ASYNC240 - the test is another process
        await asyncio.sleep(0.01)


@app.job("stack.loop")
async def on_loop(folder: str) -> None:
    """Wait on the loop."""
    await wait_for_it(folder)


@app.job("stack.blocked")
async def blocking(folder: str) -> None:
    """Block the loop."""
    hold(folder)


@app.job("stack.thread")
def in_thread(folder: str) -> None:
    """Wait in a thread."""
    hold(folder)


@app.job("stack.process", isolation="process")
def in_process(folder: str) -> None:
    """Wait in a process."""
    hold(folder)


@app.job("stack.apart", isolation="process")
async def apart(folder: str) -> None:
    """Wait in a coroutine in a process."""
    await wait_for_it(folder)
