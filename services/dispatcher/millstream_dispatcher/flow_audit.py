"""What auditors of workflows and of batches do alike: they pass over all shards, and look for jobs that are lost."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from millstream_contracts import JobId, Queue
from millstream_runtime import DutyResult
from millstream_streams import ActionCode, Broker, for_each_queue, in_calls

LIMIT = 20
"""Workflows or batches that are taken at a time."""


class Shards(Protocol):
    """The shards of workflows, or of batches."""

    async def shards(self) -> list[Queue]:
        """Return all that were ever used."""

    async def totals(self, shard: Queue) -> dict[str, int]:
        """Return how many of a shard are in a state."""


async def audit_shards(
    shards: Shards, look: Callable[[Queue], Awaitable[bool]], show: Callable[[dict[str, int]], None]
) -> DutyResult:
    """Look at each shard, and show how many are in a state. `look` returns whether there is more to look at now.

    Raises: StoreError.
    """
    totals: dict[str, int] = {}
    is_full = False

    async def audit(shard: Queue) -> None:
        nonlocal is_full
        has_more = await look(shard)
        is_full = is_full or has_more
        for state, count in (await shards.totals(shard)).items():
            totals[state] = totals.get(state, 0) + count

    await for_each_queue(await shards.shards(), audit)
    show(totals)
    return DutyResult(more=is_full)


async def absent_jobs(broker: Broker, queue: Queue, ids: Sequence[JobId]) -> list[JobId]:
    """Return those of these jobs that are not there; the others are told of again where they have settled.

    Raises: StoreError.
    """
    absent: list[JobId] = []
    for some in in_calls(ids):
        codes = await broker.dependencies.tell_again(queue, some)
        absent += [one for one, code in zip(some, codes, strict=True) if code is ActionCode.UNKNOWN_JOB]
    return absent
