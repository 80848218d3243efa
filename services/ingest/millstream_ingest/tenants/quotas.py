"""Refuses what is above a quota of a tenant.

Quotas are held in memory with the tenants. Of jobs that wait, each ingest counts what Redis has every `COUNT_EVERY_S`,
where the tenant has submitted since or has no room, and what it takes meanwhile: the sum over ingests is off by what
they take in that time. A tenant that submits seldom has the room of its last count.
"""

from collections.abc import Callable, Mapping

import anyio
import structlog
from msgspec import Raw

from millstream_contracts import Queue, RequestLimits, Tenant, TenantQuotas
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import QUOTA_REACHED, TENANT_BACKLOG_FULL
from millstream_streams import Broker, StoredTenant, StoreError, for_each_queue
from millstream_submission import Codec, Decoded, Intake, too_large

COUNT_EVERY_S = 1.0
RETRY_AFTER_S = 5

_NONE = TenantQuotas()


class Quotas:
    """What tenants may have, and how much room there is for jobs that wait."""

    def __init__(self, broker: Broker, tenants: Callable[[], Mapping[Tenant, StoredTenant]]) -> None:
        self._broker = broker
        self._tenants = tenants
        self._room: dict[Tenant, int] = {}
        """How many more jobs a tenant may have, by its last count; of those that have submitted here."""
        self._submitting: set[Tenant] = set()

    def of(self, tenant: Tenant) -> TenantQuotas:
        """Return the quotas of a tenant."""
        stored = self._tenants().get(tenant)
        return _NONE if stored is None else stored.quotas

    def limits_of(self, tenant: Tenant) -> RequestLimits | None:
        """Return how often the keys of a tenant may ask, all together; None where that has no limit."""
        stored = self._tenants().get(tenant)
        return None if stored is None else stored.limits

    async def run(self) -> None:
        """Count the jobs of tenants that submit, until cancelled."""
        while True:
            await anyio.sleep(COUNT_EVERY_S)
            try:
                await self.count()
            except StoreError as error:
                structlog.get_logger().warning("jobs of tenants not counted", error=str(error))

    async def count(self) -> None:
        """Count the jobs that wait of tenants that have submitted since the last count, or had no room in it."""
        submitting, self._submitting = self._submitting, set()
        for tenant in submitting | {tenant for tenant, room in self._room.items() if room <= 0}:
            if (most := self.of(tenant).jobs_waiting) is None:
                self._room.pop(tenant, None)
            else:
                self._room[tenant] = most - await self._waiting(tenant)

    def take(self, queue: Queue, jobs: int) -> None:
        """Count jobs that are about to be stored. Raises: IngestError (429), where there is no room for them."""
        most = self.of(queue.tenant).jobs_waiting
        if most is None:
            return
        self._submitting.add(queue.tenant)
        room = self._room.get(queue.tenant, most)
        if jobs > room:
            detail = f"the tenant has as many waiting jobs as its quota allows: {most:,}"
            raise IngestError(TENANT_BACKLOG_FULL, detail, retry_after_s=RETRY_AFTER_S)
        self._room[queue.tenant] = room - jobs

    async def _waiting(self, tenant: Tenant) -> int:
        found: list[int] = []

        async def measure(queue: Queue) -> None:
            depths = await self._broker.store.measure(queue)
            found.append(sum(depths.queued) + depths.scheduled + depths.blocked)

        await for_each_queue(await self._broker.registry.queues(tenant), measure)
        return sum(found)


class QuotaIntake(Intake):
    """An intake that holds payloads to the quota of their tenant."""

    quotas: Quotas

    async def decode(self, tenant: Tenant, body: bytes | Raw, codec: Codec, prefix: str = "") -> Decoded:
        """Return one submission and its payload. Raises: SubmissionError, StoreUnavailableError."""
        decoded = await super().decode(tenant, body, codec, prefix)
        most = self.quotas.of(tenant).payload_bytes
        if most is not None and len(decoded.payload) > most:
            raise too_large(f"{prefix}/payload", "the payload", len(decoded.payload), most)
        return decoded


def check_room(most: int | None, held: int, what: str) -> None:
    """Refuse one more of something where a tenant has as many as it may have. Raises: IngestError (403)."""
    if most is not None and held >= most:
        raise IngestError(QUOTA_REACHED, f"the tenant has {held:,} {what}, and its quota is {most:,}")
