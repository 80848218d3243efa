"""Pauses and limits of queues, as operators set them. A type is one queue for them, whatever its partitions are."""

from collections.abc import Sequence

from millstream_contracts import (
    FieldError,
    JobType,
    Queue,
    QueueKey,
    QueueKeyPage,
    QueueLimits,
    QueueSettings,
    Tenant,
    limits,
    moment,
)
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST, NOT_FOUND, WRONG_STATE
from millstream_ingest.inspection.name_pages import page_of
from millstream_streams import Broker, LaneKey
from millstream_submission import TypeCatalogue

_MOST_JOBS = 10**15


class QueueDesk:
    """Reads and changes what is set of queues. Every method raises IngestError (404), and may raise StoreError."""

    def __init__(self, broker: Broker, catalogue: TypeCatalogue) -> None:
        self._queue_settings = broker.settings
        self._budgets = broker.budgets
        self._lanes = broker.lanes
        self._registry = broker.registry
        self._catalogue = catalogue

    async def settings(self, tenant: Tenant, job_type: JobType) -> QueueSettings:
        """Return what is set of the queue of a type."""
        return await self._shown(await self._queues(tenant, job_type))

    async def limit(self, tenant: Tenant, job_type: JobType, asked: QueueLimits | None) -> QueueSettings:
        """Set limits, or let the queue have none.

        Raises: IngestError (422), for limits that are not exact over several partitions of a type.
        """
        queues = await self._queues(tenant, job_type)
        if asked is not None and (fault := asked.fault_over(len(queues))):
            field, why = fault
            detail = f"{why}; limit the jobs `per_key`, or register the type with fewer partitions"
            raise IngestError(INVALID_REQUEST, f"`{field}`: {detail}", [FieldError(f"/{field}", detail)])
        await self._registry.add_queues(queues)
        for queue in queues:
            await self._queue_settings.limit(queue, asked, is_split=len(queues) > 1)
        if len(queues) > 1:
            await self._budgets.deal(queues)
        return await self._shown(queues)

    async def pause(self, tenant: Tenant, job_type: JobType, reason: str) -> QueueSettings:
        """Pause a queue. One that is paused keeps its time and its reason. Raises: IngestError (422)."""
        _check_reason(reason)
        queues = await self._queues(tenant, job_type)
        await self._registry.add_queues(queues)
        for queue in queues:
            await self._queue_settings.pause(queue, reason=reason)
        return await self._shown(queues)

    async def resume(self, tenant: Tenant, job_type: JobType) -> QueueSettings:
        """Let a paused queue go on."""
        queues = await self._queues(tenant, job_type)
        for queue in queues:
            await self._queue_settings.resume(queue)
        return await self._shown(queues)

    async def end_hold(self, tenant: Tenant, job_type: JobType, key: str) -> QueueSettings:
        """Let the jobs start that a handler holds back: those of a key, or all where that is empty."""
        queues = await self._queues(tenant, job_type)
        for queue in queues:
            await self._queue_settings.end_hold(queue, key)
        return await self._shown(queues)

    async def open_breaker(self, tenant: Tenant, job_type: JobType, reason: str) -> QueueSettings:
        """Open a circuit breaker until it is closed by hand. Raises: IngestError (409 without one, 422)."""
        _check_reason(reason)
        queues = await self._queues(tenant, job_type)
        for queue in queues:
            _check_breaker(await self._queue_settings.open_breaker(queue, reason=reason))
        return await self._shown(queues)

    async def close_breaker(self, tenant: Tenant, job_type: JobType) -> QueueSettings:
        """Close a circuit breaker: jobs start at once. Raises: IngestError (409), where there is none."""
        queues = await self._queues(tenant, job_type)
        for queue in queues:
            _check_breaker(await self._queue_settings.close_breaker(queue))
        return await self._shown(queues)

    async def keys(
        self, tenant: Tenant, job_type: JobType, *, by_parked: bool, cursor: str | None, limit: int
    ) -> QueueKeyPage:
        """Return a page of the keys that have jobs in a queue with limits or are held back, by parked jobs or by name.

        Raises: CursorError.
        """
        found: dict[str, QueueKey] = {}
        for queue in await self._queues(tenant, job_type):
            for lane in await self._lanes.keys(queue):
                found[lane.key] = _shown_key(lane, found.get(lane.key))

        def place_of(one: QueueKey) -> str:
            # The most parked jobs come first, and none is an empty text, which is the beginning of a list.
            first = f"{_MOST_JOBS - one.parked:016d}" if by_parked else "key"
            return f"{first} {one.key or ''}"

        items, next_cursor = page_of(sorted(found.values(), key=place_of), place_of, cursor, limit)
        return QueueKeyPage(items=items, next_cursor=next_cursor)

    async def _queues(self, tenant: Tenant, job_type: JobType) -> Sequence[Queue]:
        """Return all partitions of a type: those that hold jobs, and those that its registration names."""
        known = {queue for queue in await self._registry.queues(tenant, with_dormant=True) if queue.type == job_type}
        registered = (await self._catalogue.of(tenant)).get(job_type)
        if not known and registered is None:
            raise IngestError(NOT_FOUND, "no job of this type was ever submitted, and no worker has registered it")
        partitions = registered.registration.policy.partitions if registered else 1
        return sorted(known | {Queue(tenant, job_type, number) for number in range(partitions)})

    async def _shown(self, queues: Sequence[Queue]) -> QueueSettings:
        """Return what is set of a type; that of its first partition is that of all."""
        first = queues[0]
        stored = await self._queue_settings.read(first)
        return QueueSettings(
            type=first.type,
            paused=stored.paused,
            paused_at=moment(stored.paused_at_ms) if stored.paused_at_ms else None,
            pause_reason=stored.pause_reason,
            limits=stored.limits,
            limits_set_at=moment(stored.limits_at_ms) if stored.limits_at_ms else None,
            limits_source=None if stored.limits is None else "handler" if stored.is_declared else "operator",
            declared=stored.declared,
            breaker=stored.breaker,
            held_until=None if stored.held_until_ms is None else moment(stored.held_until_ms),
            held_by=stored.held_by,
            keys_held_until=None if stored.keys_held_until_ms is None else moment(stored.keys_held_until_ms),
        )


def _check_reason(reason: str) -> None:
    if len(reason) > limits.MAX_PAUSE_REASON_CHARS:
        detail = f"has more than {limits.MAX_PAUSE_REASON_CHARS} characters"
        raise IngestError(INVALID_REQUEST, f"`reason` {detail}", [FieldError("/reason", detail)])


def _check_breaker(is_changed: bool | None) -> None:
    if is_changed is None:
        raise IngestError(WRONG_STATE, "the queue has no circuit breaker: set one with its limits, or pause the queue")


def _shown_key(lane: LaneKey, other: QueueKey | None) -> QueueKey:
    """Return a key as it is shown, with its jobs in another partition where it has any."""
    parked, in_flight = (other.parked, other.in_flight) if other else (0, 0)
    return QueueKey(
        key=lane.key or None,
        parked=parked + lane.parked,
        in_flight=in_flight + lane.in_flight,
        weight=lane.weight,
        free_at=None if lane.free_at_ms is None else moment(lane.free_at_ms),
        held_until=None if lane.held_until_ms is None else moment(lane.held_until_ms),
    )
