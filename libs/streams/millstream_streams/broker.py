"""Everything that a service needs of Redis, opened and closed together."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import anyio
from msgspec import Struct
from redis.exceptions import ResponseError

from millstream_contracts import Queue
from millstream_streams.address import RedisAddress, parse_redis_url
from millstream_streams.capabilities import Capabilities, probe, require_suitable
from millstream_streams.connections import (
    COMMAND_TIMEOUT_S,
    Client,
    close,
    connect,
    pipelined,
)
from millstream_streams.diagnosis import scrubbed
from millstream_streams.errors import StoreUnavailableError, UnsuitableRedisError, WrongServerError
from millstream_streams.event_feed import EventFeed
from millstream_streams.faults import RedisObserver, backoff_s, not_connected, of_failure
from millstream_streams.hints import listen
from millstream_streams.keys import DEFAULT_NAMESPACE, Keys
from millstream_streams.listing import Listing
from millstream_streams.probing import look_closer
from millstream_streams.reading import ReadyReader
from millstream_streams.registry import Registry
from millstream_streams.store import CONFIRM_WITHIN_S, JobStore
from millstream_streams.views import JobViews


class Broker(Struct, frozen=True):
    """An open connection to Redis, by what can be done over it."""

    address: RedisAddress
    keys: Keys
    store: JobStore
    views: JobViews
    listing: Listing
    registry: Registry
    client: Client
    """For this package's own tests and `doctor`; services go through the parts above."""

    def reader(self) -> ReadyReader:
        """Return a new blocking reader; whoever asks for it closes it."""
        return ReadyReader(self.address, self.keys, self.client)

    def feed(self, *, group: str, consumer: str) -> EventFeed:
        """Return a consumer of the events of all queues; whoever asks for it closes it. See :class:`EventFeed`."""
        return EventFeed(self.address, self.keys, self.client, group=group, consumer=consumer)

    async def listen_due(self, on_hint: Callable[[Queue], None], on_gap: Callable[[], None]) -> NoReturn:
        """Listen for queues whose next due time moved closer. See :func:`hints.listen`."""

        def read(tag: str) -> None:
            try:
                queue = Queue.from_tag(tag)
            except ValueError:
                return  # anybody may publish; what is no tag is no hint
            on_hint(queue)

        await listen(self.address, [self.keys.hint_due], read, on_gap)

    async def listen_settled(self, on_hint: Callable[[str], None], on_gap: Callable[[], None]) -> NoReturn:
        """Listen for ids of watched jobs that have settled. See :func:`hints.listen`."""
        await listen(self.address, [self.keys.hint_settled], on_hint, on_gap)

    async def listen_cancel(self, worker: str, on_hint: Callable[[str], None], on_gap: Callable[[], None]) -> NoReturn:
        """Listen for ids of jobs that this worker should stop. See :func:`hints.listen`."""
        await listen(self.address, [self.keys.hint_cancel(worker)], on_hint, on_gap)

    async def probe(self) -> Capabilities:
        """Ask the server what it is. Raises: UnsuitableRedisError, StoreUnavailableError."""
        return await self._ask(probe)

    async def wait_suitable(self, on_failure: Callable[[StoreUnavailableError], None]) -> Capabilities:
        """Wait for Redis as long as it takes, then refuse one on which jobs get lost.

        `on_failure` hears of each failure, refusals among them: a password may be changed on either side. What listens
        there and can never be the Redis that was meant is not waited for. Raises: UnsuitableRedisError.
        """
        failures = 0
        while True:
            try:
                return await self.require_suitable()
            except StoreUnavailableError as error:
                failures += 1
                on_failure(error)
            await anyio.sleep(backoff_s(failures))

    async def require_suitable(self) -> Capabilities:
        """Probe, and refuse a server on which jobs get lost, and what is no such server.

        Raises: UnsuitableRedisError, StoreUnavailableError.
        """
        return await self._ask(require_suitable)

    async def _ask(self, ask: Callable[[Client, RedisAddress], Awaitable[Capabilities]]) -> Capabilities:
        try:
            return await ask(self.client, self.address)
        except WrongServerError as error:
            # To wait for what cannot come would be to wait for ever.
            raise UnsuitableRedisError(str(error)) from None
        except StoreUnavailableError as error:
            failure = not_connected(error)
            raise (error if failure is None else of_failure(await look_closer(failure))) from None
        except ResponseError as error:
            raise UnsuitableRedisError(f"Redis refuses what is asked at every start: {scrubbed(str(error))}") from None


@asynccontextmanager
async def open_broker(
    address: RedisAddress | str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    patience_s: float = 5.0,
    retention_s: float = 3600.0,
    max_connections: int = 8,
    answer_within_s: float = COMMAND_TIMEOUT_S,
    observer: RedisObserver | None = None,
) -> AsyncIterator[Broker]:
    """Open Redis by its address, or by a URL where that says all. Nothing is sent before the first call.

    `patience_s` is for how long a call is tried again while Redis is away, `answer_within_s` for how long each try
    waits for a Redis that says nothing. Raises: RedisUrlError.
    """
    where = parse_redis_url(address) if isinstance(address, str) else address
    keys = Keys(namespace)
    client = connect(where, max_connections=max_connections, answer_within_s=answer_within_s)
    confirming = connect(where, max_connections=max_connections, blocks_for_s=CONFIRM_WITHIN_S)
    scripting = pipelined(client, answer_within_s=answer_within_s)
    views = JobViews(client, keys, patience_s=patience_s)
    try:
        yield Broker(
            address=where,
            keys=keys,
            store=JobStore(
                scripting,
                keys,
                patience_s=patience_s,
                retention_s=retention_s,
                observer=observer,
                confirming=confirming,
            ),
            views=views,
            listing=Listing(client, keys, views, patience_s=patience_s),
            registry=Registry(client, keys, patience_s=patience_s),
            client=client,
        )
    finally:
        await close(scripting, client, confirming)
