"""The measurements, the same for every system: draining a full queue, and the latency of an idle one."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog import System
from client import Client, client
from crew import Crew, Score, StalledError, crew
from msgspec import Struct
from redis_server import RedisServer, fresh_redis

ADAPTERS = Path(__file__).parent / "adapters"
IO_CONCURRENCY = 100
WAITING = {"io", "held", "stamp"}
"""The jobs that wait, or of which one runs at a time."""
FLOW_WIDTH = 100
"""The jobs of a flow that one more waits for."""

WARM_UP_PART = 10
"""A job in ten runs before the clock starts, as in the benchmark of BullMQ, because Node compiles first."""

WARM_UP_SAMPLES = 100
PAUSE_S = 0.005
"""The pause between two submissions to an idle system, in which its worker goes back to waiting."""

_LOOK_S = 0.002
_STALLED_S = 60.0


class Drained(Struct, frozen=True):
    """One queue that was filled and drained. CPU is in microseconds a job."""

    jobs_per_s: float
    enqueued_per_s: float
    worker_us: float
    redis_us: float
    enqueue_client_us: float
    enqueue_redis_us: float


class Mark(Struct, frozen=True):
    """The begin or the end of a measurement."""

    score: Score
    at_ns: int
    worker_s: float
    redis_s: float


class Bench(Struct, frozen=True):
    """A system in its environment."""

    system: System
    home: Path | None
    """The environment; None is that of this program."""

    def drain(self, job: str, jobs: int, processes: int) -> Drained:
        """Fill a queue, then let workers begin, and return the cost. Raises: CrewError; ClientError.

        Of flows, `jobs` is the number of all their jobs, to the last whole flow.
        """
        unit = FLOW_WIDTH + 1 if job == "flow" else 1
        warm_up, jobs = (count // unit * unit for count in (jobs // WARM_UP_PART, jobs))
        with fresh_redis() as redis:
            with self._client(redis) as submitter:
                submitter.fill(job, warm_up)
                before_s = redis.cpu_s()
                took = submitter.fill(job, jobs)
                fill_s = redis.cpu_s() - before_s
            with self._crew(redis, job, processes) as workers:
                begin, end = _watch(workers, redis, warm_up, warm_up + jobs)
        worked = end.score.completed - begin.score.completed
        return Drained(
            jobs_per_s=worked / (end.at_ns - begin.at_ns) * 1e9,
            enqueued_per_s=jobs / took.took_s,
            worker_us=(end.worker_s - begin.worker_s) / worked * 1e6,
            redis_us=(end.redis_s - begin.redis_s) / worked * 1e6,
            enqueue_client_us=took.cpu_s / jobs * 1e6,
            enqueue_redis_us=fill_s / jobs * 1e6,
        )

    def latencies_ms(self, samples: int) -> list[float]:
        """Return the times from submissions to the starts of their handlers, one after the other.

        Raises: CrewError; ClientError.
        """
        with fresh_redis() as redis, self._client(redis) as submitter, self._crew(redis, "stamp", 1) as workers:
            found = []
            for _ in range(WARM_UP_SAMPLES + samples):
                time.sleep(PAUSE_S)
                submitter.stamp()
                found.append(workers.turnstile.next_latency_ns() / 1e6)
        return found[WARM_UP_SAMPLES:]

    @contextmanager
    def _client(self, redis: RedisServer) -> Iterator[Client]:
        command = [word.format(bin=self._bin()) for word in self.system.submitter]
        with client(command, self._env(redis, IO_CONCURRENCY), ADAPTERS) as submitter:
            yield submitter

    @contextmanager
    def _crew(self, redis: RedisServer, job: str, processes: int) -> Iterator[Crew]:
        at_a_time = IO_CONCURRENCY if job in WAITING else self.system.concurrency
        commands = [
            [word.format(bin=self._bin(), job=job, concurrency=at_a_time, id=number) for word in self.system.worker]
            for number in range(processes)
        ]
        beside = [list(self.system.beside)] if job == "flow" and self.system.beside else []
        with crew(commands, beside, self._env(redis, at_a_time), ADAPTERS) as workers:
            yield workers

    def _bin(self) -> str:
        return str(self.home / "bin") if self.home else ""

    def _env(self, redis: RedisServer, concurrency: int) -> dict[str, str]:
        ours = {"PYTHONPATH": f"{ADAPTERS}:{ADAPTERS.parent.parent}", "MILLSTREAM_REDIS_URL": redis.url}
        theirs = {"PYTHONPATH": str(ADAPTERS), "BENCH_MODULES": str(self.home)}
        return {
            **os.environ,
            **(theirs if self.home else ours),
            "BENCH_REDIS_URL": redis.url,
            "BENCH_CONCURRENCY": str(concurrency),
            "BENCH_FLOW_WIDTH": str(FLOW_WIDTH),
            **self.system.variables,
        }


def _watch(workers: Crew, redis: RedisServer, warm_up: int, jobs: int) -> tuple[Mark, Mark]:
    """Return the marks of the warm-up's end, when every process works, and of the last completion."""
    begin = None
    progress = (0, time.monotonic())
    while (score := workers.score()).completed < jobs:
        if begin is None and score.completed > warm_up and score.all_active:
            begin = _mark(workers, redis)
        if score.completed > progress[0]:
            progress = (score.completed, time.monotonic())
        elif time.monotonic() > progress[1] + _STALLED_S:
            raise StalledError(f"{score.completed} of {jobs} jobs completed, and none for {_STALLED_S:g} s")
        time.sleep(_LOOK_S)
    end = _mark(workers, redis)
    if begin is None:
        raise StalledError("all was over before every process was seen at work: measure more jobs")
    return begin, Mark(end.score, end.score.last_ns, end.worker_s, end.redis_s)


def _mark(workers: Crew, redis: RedisServer) -> Mark:
    score, at_ns = workers.score(), time.monotonic_ns()
    return Mark(score, at_ns, workers.cpu_s(), redis.cpu_s())
