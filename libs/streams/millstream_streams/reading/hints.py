"""Hints: messages that say where it is worth looking now. They may be lost, so every listener also looks by itself."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn

import anyio
from msgspec.structs import replace

from millstream_streams.connection.address import RedisAddress
from millstream_streams.connection.connections import COMMAND_TIMEOUT_S, close, connect
from millstream_streams.connection.faults import backoff_s, translating
from millstream_streams.errors import StoreUnavailableError

QUIET_S = 30.0
"""After this time without a hint the listener asks the server whether it is still there."""


async def listen(
    address: RedisAddress, channels: Sequence[str], on_hint: Callable[[str], None], on_gap: Callable[[], None]
) -> NoReturn:
    """Listen until cancelled, reconnecting by itself.

    `on_gap` is called once the subscription works, and after each reconnection, because hints may have been lost.
    Neither callback may block.
    """
    failures = 0

    def listening() -> None:
        nonlocal failures
        failures = 0
        on_gap()

    while True:
        try:
            node = await _any_node(address)
            await _listen_on(node, channels, on_hint, listening)
        except StoreUnavailableError:
            failures += 1
        await anyio.sleep(backoff_s(failures))


async def hear_once(address: RedisAddress, channel: str) -> None:
    """Return once a server has accepted a subscription. Raises: StoreUnavailableError."""
    async with _subscribed(await _any_node(address), [channel]) as pubsub:
        if await translating(lambda: pubsub.get_message(timeout=COMMAND_TIMEOUT_S)) is None:
            raise StoreUnavailableError("Redis does not answer a subscription")


async def _listen_on(
    address: RedisAddress, channels: Sequence[str], on_hint: Callable[[str], None], on_gap: Callable[[], None]
) -> None:
    async with _subscribed(address, channels) as pubsub:
        while True:
            message = await translating(lambda: pubsub.get_message(timeout=QUIET_S))
            if message is None:
                await translating(partial(_ping, pubsub))
            elif message["type"] == "subscribe":
                on_gap()
            elif message["type"] == "message":
                on_hint(message["data"].decode(errors="replace"))


@asynccontextmanager
async def _subscribed(address: RedisAddress, channels: Sequence[str]) -> AsyncIterator[Any]:
    """Yield a subscription, which may still be refused: its first message confirms it."""
    client = connect(address, max_connections=2, blocks_for_s=QUIET_S)
    pubsub = client.pubsub()
    try:
        await translating(lambda: pubsub.subscribe(*channels))
        yield pubsub
    finally:
        with anyio.CancelScope(shield=True):
            await translating(pubsub.aclose)
            await close(client)


async def _ping(pubsub: Any) -> None:
    """Check that the server still has the subscription, because a silent connection may be dead.

    Raises: TimeoutError.
    """
    await pubsub.ping()
    if await pubsub.get_message(timeout=COMMAND_TIMEOUT_S) is None:
        raise TimeoutError("the subscription is not answered")


async def _any_node(address: RedisAddress) -> RedisAddress:
    """Return one server that passes on every message: a cluster sends PUBLISH to all of its nodes."""
    if not address.is_cluster:
        return address
    client = connect(address)
    try:
        await translating(client.initialize)
        node = client.get_random_node()
        return replace(address, mode="single", hosts=((node.host, node.port),))
    finally:
        with anyio.CancelScope(shield=True):
            await close(client)
