"""Ends tests that hang, in a way that lets the others go on and tells where each of them hung.

pytest-timeout raises in whatever runs. In an async test that is the event loop, and the coroutine of the test is left
where it was; anyio runs tests and their fixtures in one task, so the teardown would wait for it for ever. Besides,
pytest stops both of its time limits when a test has failed, so nothing would end that teardown.
"""

import faulthandler
import functools
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

import anyio
import pytest

EARLIER = 30.0
"""How much earlier than other tests an async test is ended, in seconds: its own end comes before that of its loop."""


def limit_async_test(item: pytest.Function) -> None:
    """Have an async test raise `TimeoutError` from where it hangs, and its fixtures torn down after it."""
    seconds = float(item.config.getini("timeout")) - EARLIER
    # Those with examples are left out: hypothesis repeats what fails, and each repetition would hang as long.
    if iscoroutinefunction(item.obj):
        item.obj = _limited(item.obj, seconds)


def limit_teardown(config: pytest.Config) -> None:
    """End the process with the stacks of its threads where the teardown that begins now does not end."""
    pytests_own = config.pluginmanager.getplugin("faulthandler")
    faulthandler.dump_traceback_later(
        float(config.getini("faulthandler_timeout")),
        file=config.stash[pytests_own.fault_handler_stderr_fd_key],
        exit=True,
    )


def _limited(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def limited(*args: Any, **kwargs: Any) -> None:
        with anyio.fail_after(seconds):
            await test(*args, **kwargs)

    return limited
