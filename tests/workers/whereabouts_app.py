"""Handlers in processes that hang, or end in a signal."""

import asyncio
import ctypes
import time

from millstream import App, Retry

app = App("whereabouts")
ONCE = Retry(max_attempts=1)


def sleep_on() -> None:
    """Wait until it is stopped."""
    time.sleep(60)


async def wait_on() -> None:
    """Wait until it is stopped."""
    await asyncio.sleep(60)


def read_nothing() -> None:
    """End the process by a read of the address 0."""
    ctypes.string_at(0)


@app.job("whereabouts.plain", isolation="process", retry=ONCE, timeout=0.3)
def plain(_: str) -> None:
    """Hang in a plain function."""
    sleep_on()


@app.job("whereabouts.async", isolation="process", retry=ONCE, timeout=0.3)
async def waiting(_: str) -> None:
    """Hang in a coroutine."""
    await wait_on()


@app.job("whereabouts.crash", isolation="process", retry=ONCE)
def crash(_: str) -> None:
    """End the process by SIGSEGV."""
    read_nothing()
