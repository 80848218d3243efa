"""Runs scripts until they are answered: with patience, with measurements, and with errors of ours."""

import time
from collections.abc import Callable
from typing import Any

from redis.asyncio.cluster import RedisCluster

from millstream_contracts import Queue
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, NoObserver, RedisObserver, failed, with_retries
from millstream_streams.errors import StoreUnavailableError
from millstream_streams.store.scripting import Argument, load_script, run_script

Arguments = list[Argument] | Callable[[int], list[Argument]]
"""What a script is given, or a function of the number of earlier failures that returns it."""


class ScriptRunner:
    """Calls scripts by name. A call is repeated for `patience_s` while Redis is away."""

    def __init__(
        self,
        client: Client,
        *,
        patience_s: float = 5.0,
        observer: RedisObserver | None = None,
        confirming: Client | None = None,
    ) -> None:
        self._client = client
        self._confirming = confirming or client
        """A client for calls that wait for a confirmation, which take longer than others."""
        self._patience_s = patience_s
        self._observer = observer or NoObserver()

    async def run(
        self,
        name: str,
        slot: Queue,
        keys: tuple[str, ...],
        prefix: str,
        arguments: Arguments,
        *,
        patience_s: float | None = None,
        then: tuple[Argument, ...] = (),
    ) -> Any:
        """Run a script in the slot of a queue or a shard until it is answered or patience runs out.

        `prefix` is its first argument. `then` is sent behind it on the same connection, and answered with it.
        Raises: StoreUnavailableError, StoreError.
        """
        script = load_script(name)

        async def call(failures: int) -> Any:
            values = arguments(failures) if callable(arguments) else arguments
            client = self._confirming if then else self._client
            return await run_script(client, script, keys, [prefix, *values], then=then)

        begun = time.perf_counter()
        try:
            patience_s = self._patience_s if patience_s is None else patience_s
            reply = await with_retries(call, patience_s, self._observer.count_reconnect)
        except StoreUnavailableError as error:
            error.others_may_answer = isinstance(self._client, RedisCluster)
            raise
        except REDIS_ERRORS as error:
            # A defect, or a key that another program wrote. Its text may hold arguments, so only the code is passed on.
            raise failed(f"{name} on {slot.tag} failed", error) from error
        self._observer.observe_call(name, time.perf_counter() - begun)
        return reply
