"""The only place where tests wait: for a condition, never for a time."""

import inspect
from collections.abc import Awaitable, Callable

import anyio

_LOOK_EVERY_S = 0.01


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]], description: str, timeout_s: float = 20.0
) -> None:
    """Return once the predicate, plain or async, is true.

    `timeout_s` ends a wait for what never comes, and is no bound on how fast it has to be.
    """
    with anyio.move_on_after(timeout_s):
        while not await _ask(predicate):  # noqa: ASYNC110  # what is waited for happens in Redis or in another process
            await anyio.sleep(_LOOK_EVERY_S)
        return
    raise AssertionError(f"never came true: {description}")


async def _ask(predicate: Callable[[], object | Awaitable[object]]) -> object:
    answer = predicate()
    return await answer if inspect.isawaitable(answer) else answer
