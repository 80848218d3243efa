"""Runs the processes under test, each behind a proxy of its own, and knows which of them ended without a stop."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
from chaos.counters import Counters, read_counters
from chaos.effects import FOLDER
from chaos.fault_proxy import HOST, FaultProxy
from chaos.service import PRODUCT, Service, ServicePlan
from msgspec import Struct
from waiting import wait_until

NAMESPACE = "chaos"
READY_WITHIN_S = 90.0
STOP_WITHIN_S = 30.0
PROBE_WITHIN_S = 2.0
NOWHERE = (HOST, 9)
"""The destination of a proxy that no service uses."""

# The second is what anyio 4.16 makes of a connection that uvloop loses between making it and its first use.
NO_ANSWER = (httpx2.HTTPError, AttributeError)
"""The exceptions of a request whose receiver was killed."""


class Shape(Struct, frozen=True, kw_only=True):
    """The number of processes of each service."""

    ingest: int = 2
    dispatcher: int = 2
    worker: int = 3
    reaper: int = 2

    def names(self) -> list[tuple[str, str]]:
        """Return kind and name of each process, workers first, because ingest needs their registrations."""
        counts = {"worker": self.worker, "reaper": self.reaper, "dispatcher": self.dispatcher, "ingest": self.ingest}
        return [(kind, f"{kind}-{number}") for kind, count in counts.items() for number in range(1, count + 1)]


SMALL = Shape(ingest=1, dispatcher=1, worker=2, reaper=1)


class Timing(Struct, frozen=True, kw_only=True):
    """Short intervals and limits, so that a run is short."""

    lease_s: float = 3.0
    renew_every_s: float = 0.4
    interval_s: float = 0.5
    grace_s: float = 1.0
    max_crashes: int = 20
    """A large number, so that the faults of the suite bury no innocent job."""
    concurrency: int = 20
    gauges_every_s: float = 1.0
    spare_connections: int = 3
    """How many more connections a service may have under load than when it was fresh: readers of new queues."""
    more: dict[str, str] = {}
    """Further settings, by name without MILLSTREAM_."""

    def settings(self) -> dict[str, str]:
        """Return them as variables, without MILLSTREAM_."""
        return {
            "LEASE_S": str(self.lease_s),
            "RENEW_EVERY_S": str(self.renew_every_s),
            "INTERVAL_S": str(self.interval_s),
            "GRACE_S": str(self.grace_s),
            "MAX_CRASHES": str(self.max_crashes),
            "CONCURRENCY": str(self.concurrency),
            "GAUGES_EVERY_S": str(self.gauges_every_s),
            "DRAIN_S": "0.2",
            # No event is forgotten: the checker reads the whole story.
            "EVENTS_KEPT": "100000000",
            **self.more,
        }


class Fleet:
    """Starts, signals and ends services."""

    def __init__(self, services: list[Service], effects: Path) -> None:
        self.services = services
        self.effects = effects
        self._http = httpx2.AsyncClient(trust_env=False, timeout=PROBE_WITHIN_S)

    def of(self, kind: str) -> list[Service]:
        """Return the services of a kind."""
        return [service for service in self.services if service.kind == kind]

    def named(self, name: str) -> Service:
        """Return the service of this name."""
        return next(service for service in self.services if service.name == name)

    def name_of(self, pid: int) -> str:
        """Return the name of the service whose process this is or was."""
        return next((service.name for service in self.services if pid in service.pids), "")

    def start(self, service: Service) -> None:
        """Start the process of a service."""
        service.start(_environ() | {FOLDER: str(self.effects)})

    async def start_all(self) -> None:
        """Start everything; return once all of it is ready."""
        for service in self.services:
            self.start(service)
        await self.wait_ready()
        for service in self.services:
            service.connections_when_fresh = service.connections

    async def wait_ready(self) -> None:
        """Wait until every service is ready."""
        for service in self.services:
            await self.wait_one_ready(service)

    async def wait_one_ready(self, service: Service) -> None:
        """Wait until a service is ready."""

        async def ready() -> bool:
            assert service.is_running, f"{service.name} ended with {service.exit_code}: {service.log_lines()[-3:]}"
            return await self.probe(service, "readyz") == 200 and (service.kind != "ingest" or service.is_listening)

        await wait_until(ready, f"{service.name} is ready", READY_WITHIN_S)

    async def probe(self, service: Service, route: str) -> int:
        """Return the status of a probe; 0 without a response."""
        try:
            return (await self._http.get(f"{service.url('admin')}/{route}")).status_code
        except NO_ANSWER:
            return 0

    async def counters(self, service: Service) -> Counters:
        """Return the metrics of a service. Raises: AssertionError, when it does not respond."""
        try:
            answer = await self._http.get(f"{service.url('admin')}/metrics")
        except NO_ANSWER as error:
            raise AssertionError(f"{service.name} shows no metrics") from error
        return read_counters(answer.text)

    async def drain_workers(self) -> list[str]:
        """Stop the workers in order, with what they still have to commit. Returns: complaints."""
        workers = self.of("worker")
        for worker in workers:
            worker.is_wanted = False
            worker.send(signal.SIGTERM)
        for worker in workers:
            await wait_until(lambda worker=worker: not worker.is_running, f"{worker.name} drains", STOP_WITHIN_S)
        return [f"{worker.name} ended with {worker.exit_code}" for worker in workers if worker.exit_code]

    async def close(self) -> None:
        """End all processes."""
        await self._http.aclose()
        for service in self.services:
            service.end()


@asynccontextmanager
async def open_fleet(
    folder: Path, redis: tuple[str, int] | str, shape: Shape, timing: Timing, program: tuple[str, ...] = PRODUCT
) -> AsyncIterator[Fleet]:
    """Yield a fleet whose processes are not started yet; all of them have ended afterwards.

    `redis` is the address that the proxies lead to, or a URL that services use without them.
    """
    effects = folder / "effects"
    effects.mkdir(parents=True)
    async with AsyncExitStack() as stack:
        services = []
        for kind, name in shape.names():
            proxy = await stack.enter_async_context(FaultProxy(NOWHERE if isinstance(redis, str) else redis))
            settings = timing.settings() | {
                "REDIS_URL": redis if isinstance(redis, str) else proxy.url,
                "NAMESPACE": NAMESPACE,
                # A free one at each start, so that no other process can have taken it.
                "ADMIN_PORT": "0",
                "PORT": "0",
            }
            plan = ServicePlan(name=name, kind=kind, settings=settings, folder=folder, program=program)
            services.append(Service(plan, proxy))
        fleet = Fleet(services, effects)
        stack.push_async_callback(fleet.close)
        yield fleet


def _environ() -> dict[str, str]:
    """Return an environment without the machine's own variables for Millstream."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MILLSTREAM_", "OTEL_")) and not name.lower().endswith("_proxy")
    }
