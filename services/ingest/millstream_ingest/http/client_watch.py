"""Waits for a result while the client is connected."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from millstream_ingest.http.body_reader import gone
from millstream_streams import StoreError

T = TypeVar("T")

Receive = Callable[[], Awaitable[Any]]


async def unless_gone(receive: Receive, wait: Callable[[], Awaitable[T]]) -> T:
    """Return what `wait` returns; stop it when the client disconnects. The body has to be read before.

    Raises: StoreError, and IngestError when the client has disconnected.
    """
    outcome: list[T] = []
    failure: StoreError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_await_gone, receive, tasks.cancel_scope)
        try:
            outcome.append(await wait())
        except StoreError as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not outcome:
        raise gone()
    return outcome[0]


async def while_there(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work; stop it when the client disconnects. The body has to be read before."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_await_gone, receive, tasks.cancel_scope)
        await work()
        tasks.cancel_scope.cancel()


async def _await_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
