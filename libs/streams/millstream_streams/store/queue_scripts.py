"""Runs the scripts of queues, and bounds what one call may hold."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from millstream_contracts import Queue, limits
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import RedisObserver
from millstream_streams.store.keys import Keys
from millstream_streams.store.script_runner import Arguments, ScriptRunner
from millstream_streams.store.scripting import Argument

T = TypeVar("T")


class QueueScripts:
    """Calls scripts by name. A call is repeated for `patience_s` while Redis is away."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        *,
        patience_s: float = 5.0,
        observer: RedisObserver | None = None,
        confirming: Client | None = None,
    ) -> None:
        self.keys = keys
        self._runner = ScriptRunner(client, patience_s=patience_s, observer=observer, confirming=confirming)

    async def run(
        self,
        name: str,
        queue: Queue,
        arguments: Arguments,
        patience_s: float | None = None,
        then: tuple[Argument, ...] = (),
    ) -> Any:
        """Run a script as :meth:`ScriptRunner.run` does."""
        keys = self.keys.of(queue)
        return await self._runner.run(
            name, queue, keys.script_keys, keys.job_prefix, arguments, patience_s=patience_s, then=then
        )


def check_size(items: Sequence[object]) -> None:
    """Raise ValueError when these jobs are too many for one call."""
    if len(items) > limits.MAX_SCRIPT_JOBS:
        raise ValueError(f"{len(items)} jobs in one call: at most {limits.MAX_SCRIPT_JOBS}, or Redis stands still")


def in_calls(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut jobs into parts that one call takes."""
    for start in range(0, len(items), limits.MAX_SCRIPT_JOBS):
        yield items[start : start + limits.MAX_SCRIPT_JOBS]
