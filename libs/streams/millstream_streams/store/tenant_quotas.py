"""The quota of jobs of a tenant that run at once: noted in one place of the tenant, dealt out to its queues (ADR 130).

What is noted says what is in force; :class:`Tenants` has what was asked for. A queue is registered before it is asked
whether its tenant has a quota, and the quota is noted before the queues are read that it is dealt out to. So each queue
is found by one of the two before a job is put into it.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct

from millstream_contracts import Queue, Tenant
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many
from millstream_streams.store.budget_dealer import BudgetDealer
from millstream_streams.store.keys import QUOTA_TYPE
from millstream_streams.store.queue_scripts import QueueScripts
from millstream_streams.store.scripting import Argument
from millstream_streams.store.specs import read_int


class QuotaPart(Struct, frozen=True):
    """What a queue has of the quota of its tenant."""

    slots: int | None
    """Jobs at once; None where the queue has no part, not even one of nothing."""
    parked: int
    """Jobs that wait for a slot."""


class NotedQuota(Struct, frozen=True):
    """What is noted of the quota of a tenant."""

    quota: int | None
    """How many of its jobs may run at once; None where that has no quota."""
    is_ending: bool
    """Whether there was one, of which queues may have parts still."""
    turn: int
    """That of the last deal."""


class TenantQuotas:
    """Reads and changes quotas of running jobs. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(
        self, scripts: QueueScripts, client: Client, budgets: BudgetDealer, *, patience_s: float = 5.0
    ) -> None:
        self._scripts = scripts
        self._client = client
        self._budgets = budgets
        self._patience_s = patience_s

    async def read(self, tenant: Tenant) -> NotedQuota:
        """Return what is noted of a tenant."""
        (noted,) = await self.read_many([tenant])
        return noted

    async def read_many(self, tenants: Sequence[Tenant]) -> list[NotedQuota]:
        """Return what is noted of tenants, in order."""
        names = [self._scripts.keys.of(anchor_of(tenant)).settings for tenant in tenants]
        commands: list[tuple[Any, ...]] = [("HMGET", name, "quota", "deal") for name in names]
        replies = await with_retries(lambda _: ask_many(self._client, commands), self._patience_s, lambda: None)
        return [_noted(*(reply or (None, None))) for reply in replies]

    async def put_quota(self, tenant: Tenant, read: int | None, becomes: int | None) -> bool:
        """Note the quota of a tenant, None for none; return False where what is noted is not what was read.

        It is in force once it is dealt out to the queues that are registered by then (:meth:`deal`).
        """
        arguments: list[Argument] = ["" if one is None else one for one in (read, becomes)]
        return bool(await self._scripts.run("put_quota", anchor_of(tenant), arguments) == 1)

    async def begin(self, queues: Iterable[Queue]) -> None:
        """Let queues of tenants with a quota begin with a part of nothing; it is called before jobs are put there."""
        queues = list(queues)
        tenants = sorted({queue.tenant for queue in queues})
        for tenant, noted in zip(tenants, await self.read_many(tenants) if tenants else (), strict=True):
            if noted.quota is not None:
                await self._budgets.begin([queue for queue in queues if queue.tenant == tenant], noted.turn)

    async def deal(
        self, tenant: Tenant, queues: Collection[Queue], *, unserved: Collection[Queue] = (), are_all: bool = False
    ) -> bool:
        """Deal the quota of a tenant out to its queues, by what waits there.

        Returns: False where a later deal has overtaken this one, which may be at it still.

        Those that are `unserved`, because no worker takes their jobs, have a part of nothing. Where the queues
        `are_all` of the tenant, with the dormant ones, a quota that was removed is taken from them.
        """
        return await self._budgets.deal_quota(anchor_of(tenant), queues, unserved=unserved, are_all=are_all)

    async def parts(self, queues: Sequence[Queue]) -> list[QuotaPart]:
        """Return what queues have of the quota of their tenant, in order."""
        keys = [self._scripts.keys.of(queue) for queue in queues]
        commands: list[tuple[Any, ...]] = [("HGET", one.settings, "!quota") for one in keys]
        commands += [("HMGET", one.flow, "parked1", "parked2", "parked3") for one in keys]
        replies = await with_retries(lambda _: ask_many(self._client, commands), self._patience_s, lambda: None)
        parts, counts = replies[: len(keys)], replies[len(keys) :]
        return [_part(part, parked) for part, parked in zip(parts, counts, strict=True)]


def anchor_of(tenant: Tenant) -> Queue:
    """Return what stands for a tenant where scripts about its quota have a queue."""
    return Queue(tenant, QUOTA_TYPE)


def _noted(quota: bytes | None, turn: bytes | None) -> NotedQuota:
    is_set = quota is not None and quota.isdigit()
    return NotedQuota(read_int(quota) if is_set else None, quota == b"", read_int(turn))


def _part(part: bytes | None, parked: Sequence[bytes | None] | None) -> QuotaPart:
    slots = None if part is None else read_int(part.partition(b" ")[0])
    return QuotaPart(slots, sum(read_int(one) for one in parked or ()))
