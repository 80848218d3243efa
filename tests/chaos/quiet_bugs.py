"""Runs a service with all quiet bugs at once: jobs end as they should, and times, leaks or metrics are wrong.

`python -m chaos.quiet_bugs worker ...`. Each is planted in the memory of the process, as in `chaos.sabotage`.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from chaos.effects import FOLDER
from chaos.handlers import GO
from msgspec import Struct

from millstream_cli.main import main
from millstream_contracts import Queue
from millstream_streams import Idempotency, JobStore, Registry, Release, parse_redis_url
from millstream_telemetry import DispatcherMetrics, IngestMetrics, ReaperMetrics, WorkerMetrics

Method = Callable[..., Any]


class QuietBug(Struct, frozen=True):
    """A method of the product, and its replacement."""

    owner: type
    method: str
    plant: Callable[[Method], Method]
    """Makes the wrong method from the right one."""
    promise: str
    words: str
    """The words that a complaint under that promise has to contain."""


_kept: list[socket.socket] = []


def _twice(count: Method) -> Method:
    return lambda self, job_type, word, n=1: count(self, job_type, word, 2 * n)


def _never(_: Method) -> Method:
    return lambda *_, **__: None


def _in_ms(observe: Method) -> Method:
    return lambda self, job_type, seconds, exemplar="": observe(self, job_type, 1000 * seconds, exemplar)


def _one_more(watch: Method) -> Method:
    return lambda self, total, busy: watch(self, total, lambda: busy() + 1)


def _without_the_dead(publish: Method) -> Method:
    return lambda self, queues: publish(self, [queue for queue in queues if not queue.dead])


def _keeps_a_connection(enqueue: Method) -> Method:
    async def leaking(self: JobStore, queue: Queue, *args: Any, **options: Any) -> Any:
        [address, *_] = parse_redis_url(os.environ["MILLSTREAM_REDIS_URL"]).hosts
        _kept.append(socket.create_connection(address))
        return await enqueue(self, queue, *args, **options)

    return leaking


async def _leave_a_key(self: Registry, name: str, counts_for: timedelta = timedelta()) -> None:
    await self._client.set(self._keys.workers + ":left", name)


def _not_before_go(call: Callable[..., Awaitable[Any]]) -> Method:
    async def late(*args: Any, **options: Any) -> Any:
        while not (Path(os.environ[FOLDER]) / GO).exists():  # noqa: ASYNC110 - the word comes from another process
            await anyio.sleep(0.05)
        return await call(*args, **options)

    return late


def _none_before_go(release_due: Method) -> Method:
    async def late(self: JobStore, queue: Queue, **options: Any) -> Release:
        if not (Path(os.environ[FOLDER]) / GO).exists():
            return Release(released=0, expired=0, next_in_ms=100)
        return await release_due(self, queue, **options)

    return late


def _of_this_process(_: Method) -> Any:
    return property(lambda self: hash(self.key) % (1 << 32))


QUIET_BUGS = {
    "attempts count twice": QuietBug(WorkerMetrics, "count_attempts", _twice, "metrics", "attempts chaos.quick ok"),
    "finished jobs do not count": QuietBug(WorkerMetrics, "count_finished", _never, "metrics", "counted 0 finished"),
    "waits are told in ms": QuietBug(WorkerMetrics, "observe_queue_wait", _in_ms, "metrics", "counted waits of"),
    "recoveries do not count": QuietBug(ReaperMetrics, "count_recovered", _never, "metrics", "counted none recovered"),
    "accepted is not counted": QuietBug(IngestMetrics, "count_submitted", _never, "metrics", "counted 0 accepted jobs"),
    "a slot is never free": QuietBug(WorkerMetrics, "watch_slots", _one_more, "places", "has 1 slots busy"),
    "the dead are not shown": QuietBug(DispatcherMetrics, "publish", _without_the_dead, "places", "shows dead jobs {}"),
    "connections are kept": QuietBug(JobStore, "enqueue", _keeps_a_connection, "places", "ingest-1 keeps"),
    "a key is left": QuietBug(Registry, "leave", lambda _: _leave_a_key, "places", "is no key of the Redis model"),
    "who leaves stays listed": QuietBug(Registry, "leave", lambda _: _leave_a_key, "places", "is still listed"),
    "due jobs are not released": QuietBug(JobStore, "release_due", _none_before_go, "4", "after it was due"),
    "ready jobs are not taken": QuietBug(JobStore, "claim", _not_before_go, "4", "before a worker took it"),
    "keys are looked up elsewhere": QuietBug(
        Idempotency, "partition_seed", _of_this_process, "1", "was answered with different jobs"
    ),
}
"""The bugs by name."""


def plant_all(bugs: Mapping[str, QuietBug]) -> None:
    """Replace each method."""
    for owner, method in {(bug.owner, bug.method) for bug in bugs.values()}:
        [plant, *_] = [bug.plant for bug in bugs.values() if (bug.owner, bug.method) == (owner, method)]
        setattr(owner, method, plant(getattr(owner, method)))


if __name__ == "__main__":
    plant_all(QUIET_BUGS)
    main()
