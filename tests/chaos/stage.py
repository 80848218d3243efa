"""The means of a scenario: the fleet, its Redis, the load, and the journal, which records every fault."""

import copy
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Self

import anyio
import anyio.to_thread
from chaos.fault_proxy import FaultProxy
from chaos.fleet import Fleet, Timing
from chaos.gatherer import in_hand
from chaos.history_keeper import HistoryKeeper
from chaos.journal import EVERYTHING, Fault, Journal
from chaos.kubelet import Kubelet
from chaos.redis_keeper import RedisKeeper
from chaos.service import Service
from chaos.submitter import Submitter
from chaos.tenancy import Tenancy
from chaos.topology_keepers import ClusterKeeper, TrioKeeper
from waiting import wait_until

from millstream_streams import Broker

BUSY_WITHIN_S = 60.0

Predicate = Callable[[], object | Awaitable[object]]

Keeper = RedisKeeper | TrioKeeper | ClusterKeeper


class Stage:
    """The faults that a scenario can cause, each of which records itself."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        redis: Keeper,
        broker: Broker,
        submitter: Submitter,
        journal: Journal,
        kubelet: Kubelet,
        timing: Timing,
        rng: random.Random,
        seconds: float,
        history: HistoryKeeper | None = None,
    ) -> None:
        self.fleet = fleet
        self.redis = redis
        self.broker = broker
        self.submitter = submitter
        self.journal = journal
        self.kubelet = kubelet
        self.timing = timing
        self.rng = rng
        self.history = history
        self.seconds = seconds
        """How long to cause faults."""
        self.figures: dict[str, str] = {}
        """The measurements of a scenario, in words, by name."""
        self.complaints: list[str] = []
        """Violations that only the scenario itself can see."""
        self.tenancy = Tenancy()

    def expect(self, ok: object, complaint: str) -> None:
        """Complain unless a condition holds."""
        if not ok:
            self.complaints.append(complaint)

    async def wait(self, predicate: Predicate, words: str, within_s: float) -> bool:
        """Wait for a condition, and complain when it never comes true. Returns: whether it did."""
        try:
            await wait_until(predicate, words, within_s)
        except AssertionError as error:
            self.expect(None, str(error))
            return False
        return True

    def any_of(self, kind: str) -> Service:
        """Return a random service of a kind."""
        return self.rng.choice(self.fleet.of(kind))

    async def busy_worker(self, jobs: int, job_type: str = "") -> Service:
        """Return a worker with `jobs` jobs once there is one, because a fault of an idle one shows nothing.

        With `job_type` only jobs of this type count, since short ones may end before the fault.
        """
        found: list[Service] = []

        async def is_any_busy() -> bool:
            held = await in_hand(self.broker, job_type)
            found[:] = [worker for worker in self.fleet.of("worker") if held[worker.pid] >= jobs]
            return bool(found)

        await wait_until(is_any_busy, f"a worker has {jobs} jobs in its hands", BUSY_WITHIN_S)
        return self.rng.choice(found)

    def apart(self, name: str) -> Self:
        """Return this stage with a random generator of its own, for faults side by side."""
        other = copy.copy(self)
        other.rng = random.Random(f"{name} {self.rng.random()}")
        return other

    async def kill(self, service: Service) -> Fault:
        """Kill a service with SIGKILL; the kubelet starts it again."""
        fault = self.journal.note("kill", service.name, service.pid)
        service.send(signal.SIGKILL)
        return fault

    async def kill_with_a_read(self, service: Service, within_s: float) -> bool:
        """Kill a worker between its next blocking read that brings a job and the claim of that job.

        Returns: False where no read has brought it a job in this time.
        """
        was_read = anyio.Event()

        def end() -> None:
            self.journal.note("kill", service.name, service.pid)
            service.send(signal.SIGKILL)
            was_read.set()

        service.proxy.on_read = end
        with anyio.move_on_after(within_s):
            await was_read.wait()
        service.proxy.on_read = None
        return was_read.is_set()

    async def terminate(self, service: Service) -> Fault:
        """Stop a service with SIGTERM; the kubelet starts it again."""
        fault = self.journal.note("terminate", service.name, service.pid)
        # It drains for as long as its grace: what it hands back meanwhile is excused.
        fault.ended_ms = None
        service.send(signal.SIGTERM)
        return fault

    @asynccontextmanager
    async def frozen(self, service: Service) -> AsyncIterator[Fault]:
        """Freeze a service with SIGSTOP while the block lasts."""
        with self.journal.lasting("freeze", service.name, service.pid) as fault:
            service.send(signal.SIGSTOP)
            try:
                yield fault
            finally:
                service.send(signal.SIGCONT)

    @asynccontextmanager
    async def away(self, service: Service, how: str) -> AsyncIterator[Fault]:
        """Take Redis away from one service: `refuse` or `swallow`."""
        with self.journal.lasting(how, service.name) as fault, _broken([service.proxy], how):
            yield fault

    @asynccontextmanager
    async def all_away(self, how: str) -> AsyncIterator[Fault]:
        """Take Redis away from every service."""
        with self.journal.lasting(how, EVERYTHING) as fault:
            proxies = [service.proxy for service in self.fleet.services]
            with _broken(proxies, how):
                yield fault

    async def cut(self, service: Service) -> Fault:
        """Reset the connections of a service to Redis."""
        fault = self.journal.note("cut", service.name)
        service.proxy.cut()
        return fault

    @asynccontextmanager
    async def slow(self, service: Service, *, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> AsyncIterator[Fault]:
        """Delay or throttle everything between a service and Redis."""
        with self.journal.lasting("slow", service.name) as fault:
            service.proxy.slow(delay_s=delay_s, bytes_per_s=bytes_per_s)
            try:
                yield fault
            finally:
                service.proxy.heal()

    @asynccontextmanager
    async def redis_dead(self) -> AsyncIterator[Fault]:
        """Kill Redis, and start it again with its data at the end of the block."""
        assert isinstance(self.redis, RedisKeeper)
        with self.journal.lasting("redis killed", EVERYTHING) as fault:
            await anyio.to_thread.run_sync(self.redis.kill)
            try:
                yield fault
            finally:
                with anyio.CancelScope(shield=True):
                    await self.redis.restart()

    @asynccontextmanager
    async def redis_full(self) -> AsyncIterator[Fault]:
        """Keep Redis at its maxmemory while the block lasts. This is no excuse, because leases are kept."""
        assert isinstance(self.redis, RedisKeeper)
        with self.journal.lasting("full", "redis") as fault:
            await self.redis.fill()
            try:
                yield fault
            finally:
                with anyio.CancelScope(shield=True):
                    await self.redis.empty()


@contextmanager
def _broken(proxies: Sequence[FaultProxy], how: str) -> Iterator[None]:
    for proxy in proxies:
        proxy.refuse() if how == "refuse" else proxy.swallow()
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.heal()
