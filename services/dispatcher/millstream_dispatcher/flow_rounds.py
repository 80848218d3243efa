"""Empties the outboxes of shards of workflows and of batches, in rounds: what was done is confirmed with the next take.

What is taken is under a lease, and stays in the outbox until it is confirmed.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from millstream_contracts import Queue, Tenant
from millstream_runtime import DutyResult
from millstream_streams import START_WITHIN_S, StoreError, for_each_queue

LIMIT = 100
"""Entries that are taken at a time."""

ROUNDS = 20
"""Rounds in a pass, after which the duty is asked to come back at once."""

Confirmed = list[tuple[str, str]]
"""Entries of an outbox, and what became of them."""

Task = TypeVar("Task")
Task_co = TypeVar("Task_co", covariant=True)


class Taken(Protocol[Task_co]):
    """What a shard has to be done."""

    @property
    def next_in_ms(self) -> int | None:
        """Return when there is more; None for never."""

    @property
    def tasks(self) -> Sequence[Task_co]:
        """Return what is to be done, under a lease."""

    @property
    def unreadable(self) -> Sequence[str]:
        """Return the entries of what this release cannot read."""


class Started(DutyResult, frozen=True):
    """The result of one pass."""

    stored: int = 0
    """Entries that were carried out."""


async def make_each(calls: Iterable[Callable[[], Awaitable[Confirmed]]]) -> tuple[Confirmed, StoreError | None]:
    """Make each of these calls. Returns: what was done, and the failure of a queue that is away.

    What is for other queues does not wait for that one: it is tried again after the lease.
    """
    done: Confirmed = []
    failure: StoreError | None = None
    for call in calls:
        try:
            done += await call()
        except StoreError as error:
            failure = error
    return done, failure


async def empty_outboxes(
    shards: Sequence[Queue],
    take: Callable[[Queue, int, Confirmed], Awaitable[Taken[Task]]],
    carry_out: Callable[[Tenant, Sequence[Task], float], Awaitable[tuple[Confirmed, StoreError | None]]],
) -> Started:
    """Carry out what there is to be done in each shard. Returns: when to come back.

    `carry_out` gets the time on the monotonic clock until which jobs may be stored, and returns what was done, and the
    failure of a queue that is away. Raises: StoreError.
    """
    stored, waits_ms, is_full = 0, list[int](), False

    async def empty(shard: Queue) -> None:
        nonlocal stored, is_full
        confirmed: Confirmed = []
        for _ in range(ROUNDS):
            until_s = time.monotonic() + START_WITHIN_S
            taken = await take(shard, LIMIT, confirmed)
            confirmed = [(entry, "refused unreadable") for entry in taken.unreadable]
            if not taken.tasks and not confirmed:
                waits_ms.extend([] if taken.next_in_ms is None else [taken.next_in_ms])
                return
            done, failure = await carry_out(shard.tenant, taken.tasks, until_s)
            confirmed += done
            stored += len(done)
            if failure is not None:
                await take(shard, 0, confirmed)
                raise failure
        await take(shard, 0, confirmed)
        is_full = True

    await for_each_queue(shards, empty)
    return Started(more=is_full, next_in_s=min(waits_ms) / 1000 if waits_ms else None, stored=stored)
