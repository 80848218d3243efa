"""Asks a worker to take no more jobs, and waits until it says that it does so."""

import time

import anyio
from msgspec.structs import replace

from millstream_contracts import WorkerInfo
from millstream_streams import Registry

WAIT_S = 5.0
"""How long a worker has to answer: it hears the order within milliseconds, or not at all."""

DRAINING = "draining"

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.25


class WorkerDrain:
    """Asks workers to drain. Every method may raise StoreUnavailableError."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def ask(self, name: str) -> WorkerInfo | None:
        """Return the worker, once its heartbeat says that it drains, or as it was when it has ended already.

        Returns: None when there is none of this name; one whose state is not `draining` when it has not answered.
        """
        worker = await self._registry.worker(name)
        if worker is None or worker.state == DRAINING:
            return worker
        await self._registry.ask_drain(name)
        gives_up_at, pause_s = time.monotonic() + WAIT_S, _FIRST_PAUSE_S
        while time.monotonic() < gives_up_at:
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            found = await self._registry.worker(name)
            if found is None:
                # Its hands were empty.
                return replace(worker, state=DRAINING, busy=0, running=[])
            if found.state == DRAINING:
                return found
        return worker
