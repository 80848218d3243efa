"""Does for the fleet what Kubernetes does for pods: it restarts what ended, and kills what fails its liveness."""

import signal
from typing import NoReturn

import anyio
from chaos.fleet import Fleet
from chaos.journal import Journal
from chaos.service import Service

LOOK_EVERY_S = 0.1
PROBE_EVERY_S = 0.5
FAILURES_ALLOWED = 3


class Kubelet:
    """Watches services while its tasks run."""

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self.ended: list[tuple[str, int, int]] = []
        """Service, process and exit code of each process that ended and was started again."""
        self.killed: list[str] = []
        """Services killed because they failed their probe."""

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._restart)
            for service in self._fleet.services:
                tasks.start_soon(self._probe, service)

    async def _restart(self) -> NoReturn:
        while True:
            for service in self._fleet.services:
                if service.is_wanted and not service.is_running:
                    self.ended.append((service.name, service.pid, service.exit_code or 0))
                    # Whatever ended it, what it held is excused.
                    self._journal.note("end", service.name, service.pid)
                    self._fleet.start(service)
            await anyio.sleep(LOOK_EVERY_S)

    async def _probe(self, service: Service) -> NoReturn:
        failures = 0
        while True:
            await anyio.sleep(PROBE_EVERY_S)
            if service.is_stopped or not service.is_running:
                failures = 0
                continue
            # Only what a service says counts: one that still starts does not listen yet.
            failures = failures + 1 if await self._fleet.probe(service, "livez") == 503 else 0
            if failures >= FAILURES_ALLOWED:
                self.killed.append(service.name)
                self._journal.note("liveness", service.name, service.pid)
                service.send(signal.SIGKILL)
                failures = 0
