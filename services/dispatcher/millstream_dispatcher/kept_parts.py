"""Knows what is stored of the jobs of each type: its newest registration says so."""

import time
from collections.abc import Iterable

from millstream_contracts import Keeps, Queue, Tenant
from millstream_streams import Registry, StoreUnavailableError

FRESH_FOR_S = 1.0


class KeptParts:
    """What is stored of the jobs of queues, at most FRESH_FOR_S old unless Redis is away."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[Tenant, dict[str, Keeps]] = {}
        self._fresh_until: dict[Tenant, float] = {}

    async def of(self, queues: Iterable[Queue]) -> dict[Queue, Keeps]:
        """Return what is stored of each queue; of a type without a registration everything. Raises: StoreError.

        Raises: StoreUnavailableError, while nothing is known yet: a payload that is not to be stored is not guessed at.
        """
        chosen = list(queues)
        for tenant in {queue.tenant for queue in chosen}:
            await self._look(tenant)
        return {queue: self._known[queue.tenant].get(queue.type, "everything") for queue in chosen}

    async def _look(self, tenant: Tenant) -> None:
        if time.monotonic() < self._fresh_until.get(tenant, 0.0):
            return
        try:
            found = await self._registry.registrations(tenant)
        except StoreUnavailableError:
            if tenant not in self._known:
                raise
        else:
            self._known[tenant] = {
                job_type: ranked[0].registration.policy.keeps for job_type, ranked in found.items() if ranked
            }
        self._fresh_until[tenant] = time.monotonic() + FRESH_FOR_S
