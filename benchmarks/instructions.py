"""Counts the instructions of Redis for a job of a queue with limits, as multiples of one without, by callgrind.

CPU time on a shared machine varies by a tenth; a count of instructions does not, so that CI can hold a budget. Redis
runs under valgrind, and what two runs of different length differ by is the cost of the jobs between.
"""

import itertools
import math
import re
import shutil
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec
from msgspec import Struct
from msgspec.structs import replace
from redis.exceptions import RedisError
from redis_cpu import RESULT_TTL_MS, WORKER
from rig import BATCH, NOOP, noop_jobs, report

from millstream_cli.embedded import free_ports
from millstream_cli.redis_finder import find_redis
from millstream_contracts import Breaker, KeyLimits, QueueLimits, Succeeded
from millstream_streams import Broker, Commit, JobStore, NewJob, StoreError, UniqueKey, open_broker

SHORT, LONG = 2, 6
"""Batches of the two runs."""
STARTED_WITHIN_S = 60.0
_COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


class Load(Struct, frozen=True):
    """A kind of queue, and its jobs."""

    name: str
    limits: QueueLimits | None = None
    keys: int | None = 0
    """How many keys its jobs share; None where each has its own. Those are claimed batch by batch."""
    is_unique: bool = False
    were_removed: bool = False
    """Whether the limits were removed again, before the first job."""

    def jobs(self, first: int) -> list[NewJob]:
        """Return one batch of jobs that are not stored yet."""
        return [self._job(first + at, job) for at, job in enumerate(noop_jobs(BATCH))]

    def _job(self, number: int, job: NewJob) -> NewJob:
        if self.is_unique:
            return replace(job, unique=UniqueKey("running", f"{number:032x}", "return", None, str(number)))
        if self.keys == 0:
            return job
        return replace(job, key=f"customer {number if self.keys is None else number % self.keys}")


_ALL = QueueLimits(
    concurrency=100_000,
    rate="1000000/s",
    per_key=KeyLimits(concurrency=10, rate="1000000/s"),
    breaker=Breaker(),
)
PLAIN = Load("no limits")
OWN = "concurrency, a key each"
LOADS = (
    PLAIN,
    Load("limits that were removed", QueueLimits(concurrency=100_000), were_removed=True),
    Load("concurrency", QueueLimits(concurrency=100_000)),
    Load("rate", QueueLimits(rate="1000000/s")),
    Load("breaker", QueueLimits(breaker=Breaker())),
    Load("concurrency of 10 keys", QueueLimits(per_key=KeyLimits(concurrency=1000)), keys=10),
    Load("rate of 10 keys", QueueLimits(per_key=KeyLimits(rate="1000000/s")), keys=10),
    Load("all at once, 10 keys", _ALL, keys=10),
    Load(OWN, QueueLimits(per_key=KeyLimits(concurrency=1000)), keys=None),
    Load("unique", is_unique=True),
)
SHARED = ("concurrency of 10 keys", "rate of 10 keys", "all at once, 10 keys")
"""The loads of which the jobs of a batch share keys."""


async def main(_: Namespace) -> dict[str, Any]:
    """Count, and print the multiples; without valgrind print why there are none."""
    if shutil.which("valgrind") is None:
        return report("instructions", [("not counted", "there is no valgrind on this machine")], measured={})
    counts = {load.name: await _per_job(load) for load in LOADS}
    ratios = {name: count / counts[PLAIN.name] for name, count in counts.items()}
    measured = {
        "instructions_limits_removed": ratios["limits that were removed"],
        "instructions_shared_keys": max(ratios[name] for name in SHARED),
        "instructions_own_keys": ratios[OWN],
    }
    rows = [("instructions of Redis, per job without limits", f"{counts[PLAIN.name]:,.0f}")]
    rows += [(name, f"{ratio:.2f} x") for name, ratio in ratios.items() if name != PLAIN.name]
    return report("instructions", rows, measured=measured, ratios={name: round(one, 3) for name, one in ratios.items()})


async def _per_job(load: Load) -> float:
    short, long = [await _count(load, batches) for batches in (SHORT, LONG)]
    return (long - short) / (LONG - SHORT) / BATCH


async def _count(load: Load, batches: int) -> int:
    """Return the instructions of a Redis from its start to its end, in which so many batches ran."""
    (port,) = free_ports(1)
    with _counted(port) as server:
        await _wait_for(f"redis://127.0.0.1:{port}")
        async with open_broker(f"redis://127.0.0.1:{port}", patience_s=STARTED_WITHIN_S) as broker:
            await _cycle(broker, load, batches)
        server.terminate()
        _, said = await anyio.to_thread.run_sync(server.communicate)
    found = _COLLECTED.search(said)
    assert found is not None, f"valgrind says nothing of its count: {said[-500:]}"
    return int(found[1])


async def _wait_for(url: str) -> None:
    with anyio.fail_after(STARTED_WITHIN_S):
        while True:
            try:
                async with open_broker(url) as broker:
                    await broker.client.ping()
                    return
            except (StoreError, RedisError, OSError):
                await anyio.sleep(0.1)


async def _cycle(broker: Broker, load: Load, batches: int) -> None:
    """Set the limits, store all jobs, and claim and commit them, in batches."""
    store, nonces = broker.store, itertools.count()
    await broker.registry.add_queues([NOOP])
    if load.limits:
        await broker.settings.limit(NOOP, load.limits)
    if load.were_removed:
        await broker.settings.limit(NOOP, None)
    for batch in range(batches):
        await store.enqueue(NOOP, load.jobs(batch * BATCH))
        if load.keys is None:
            await _work_off(store, load, BATCH, nonces)
    if load.keys is not None:
        await _work_off(store, load, batches * BATCH, nonces)


async def _work_off(store: JobStore, load: Load, left: int, nonces: "itertools.count[int]") -> None:
    """Claim and commit so many jobs."""
    for _ in range(10 * math.ceil(left / BATCH)):
        claim = await store.claim(NOOP, consumer=WORKER, nonce=f"{WORKER}.{next(nonces):x}", limit=BATCH)
        outcome = Succeeded(msgspec.Raw(b"\xd9\x28" + b"r" * 40))
        commits = [Commit(job, outcome, RESULT_TTL_MS) for job in claim.deliveries]
        await store.commit(NOOP, worker=WORKER, commits=commits)
        left -= len(claim.deliveries)
        if left == 0:
            return
    raise AssertionError(f"{load.name}: {left} jobs were not given out")


@contextmanager
def _counted(port: int) -> Iterator["subprocess.Popen[str]"]:
    """Yield a Redis under callgrind, without persistence and with few timers of its own."""
    with tempfile.TemporaryDirectory() as folder:
        counting = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind")
        quiet = ("--save", "", "--hz", "1", "--dynamic-hz", "no", "--dir", folder)
        listening = ("--port", str(port), "--bind", "127.0.0.1")
        server = subprocess.Popen(
            [*counting, str(find_redis().path), *listening, *quiet],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield server
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
