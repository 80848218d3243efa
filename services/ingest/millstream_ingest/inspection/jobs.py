"""Lists jobs and dead letters page by page, over the queues of a tenant.

A cursor names its state, so that a list of all states can go on in the middle, and a cursor of another list is refused.
"""

from collections.abc import Sequence

from millstream_contracts import DeadLetterPage, Job, JobState, JobType, Page, Queue, Tenant, is_among
from millstream_streams import Broker, CursorError

STATES = (JobState.RUNNING, JobState.QUEUED, JobState.SCHEDULED, JobState.BLOCKED, JobState.DEAD)
"""The states in the order of a list of all states."""


class JobLister:
    """Pages of jobs. Every method may raise StoreUnavailableError and CursorError."""

    def __init__(self, broker: Broker) -> None:
        self._listing = broker.listing
        self._registry = broker.registry

    async def jobs(
        self,
        tenant: Tenant,
        job_type: JobType | None,
        state: JobState | None,
        *,
        cursor: str | None,
        limit: int,
        types: Sequence[str] = (),
    ) -> Page:
        """Return jobs without payload and result: of one type or all, in one state or all listed states.

        `types` are patterns of the types that may be seen; empty for all.
        """
        queues = await self._queues(tenant, job_type, types)
        states = STATES if state is None else (state,)
        at, inner = _read_cursor(cursor, states)
        items: list[Job] = []
        for position, shown in enumerate(states[at:], start=at):
            if len(items) == limit:
                return Page(items, _cursor(states[position], None))
            page = await self._listing.jobs(queues, shown, cursor=inner, limit=limit - len(items))
            items += page.items
            if page.next_cursor:
                return Page(items, _cursor(shown, page.next_cursor))
            inner = None
        return Page(items)

    async def dead(
        self,
        tenant: Tenant,
        job_type: JobType | None,
        *,
        cursor: str | None,
        limit: int,
        types: Sequence[str] = (),
    ) -> DeadLetterPage:
        """Return dead letters, of one type or all. `types` are as those of `jobs`."""
        _, inner = _read_cursor(cursor, (JobState.DEAD,))
        queues = await self._queues(tenant, job_type, types)
        page = await self._listing.dead(queues, cursor=inner, limit=limit)
        return DeadLetterPage(page.items, _cursor(JobState.DEAD, page.next_cursor) if page.next_cursor else None)

    async def _queues(self, tenant: Tenant, job_type: JobType | None, types: Sequence[str]) -> list[Queue]:
        queues = await self._registry.queues(tenant, with_dormant=True)
        return [
            queue for queue in queues if job_type in {None, queue.type} and (not types or is_among(queue.type, types))
        ]


def _cursor(state: JobState, inner: str | None) -> str:
    return f"{state}.{inner or ''}"


def _read_cursor(cursor: str | None, states: Sequence[JobState]) -> tuple[int, str | None]:
    """Return the state of a cursor, and its position there."""
    if cursor is None:
        return 0, None
    state, dot, inner = cursor.partition(".")
    names = [shown.value for shown in states]
    if not dot or state not in names:
        raise CursorError("this is not a cursor of this list")
    return names.index(state), inner or None
