"""Searches the history for jobs, and asks Redis how those are now that had not ended when they were stored."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from millstream_contracts import Facets, Job, JobType, Page, Queue, Tenant, is_among
from millstream_history import History, HistoryError, JobQuery, SearchedJobs, StoredJob
from millstream_ingest.http.errors import IngestError
from millstream_ingest.inspection.history_lag import HistoryLag
from millstream_ingest.inspection.search_slots import SearchSlots
from millstream_streams import Broker, StoreError
from millstream_submission.deadline import Deadline
from millstream_telemetry import IngestMetrics, JobTracer, ServerSpan

REDIS_WITHIN_S = 0.15
"""How long Redis is waited for: a search goes on without it."""

FACETS_AT_ONCE = 2

NO_WAY = "none"
"""The way of a search that has not come to a page."""


class JobSearcher:
    """Searches of one process."""

    def __init__(self, broker: Broker, lag: HistoryLag, tracer: JobTracer, metrics: IngestMetrics) -> None:
        self._broker = broker
        self._lag = lag
        self._tracer = tracer
        self._metrics = metrics
        self.slots = SearchSlots()
        self._facet_slots = SearchSlots(FACETS_AT_ONCE, FACETS_AT_ONCE)
        """Of their own: a page comes though its facets have to wait."""

    async def page(
        self,
        history: History,
        query: JobQuery,
        *,
        cursor: str | None,
        limit: int,
        is_counted: bool,
        request: ServerSpan,
    ) -> Page:
        """Return a page of jobs, newest first.

        Raises: QueryError, SearchCursorError, HistoryError, and IngestError (429) while too many searches run.
        """
        with self._observed(query.tenant), self._tracer.search(request) as span:
            begun = time.monotonic()
            known_types = await self.known_types(query.tenant, query.types) if _names_types(query) else ()
            found, lag_s = await self._lag.beside(
                history.search.page(query, cursor=cursor, limit=limit, known_types=known_types, counted=is_counted)
            )
            span.found(len(found.jobs), found.way, is_complete=found.is_complete)
            outcome = "complete" if found.is_complete else "partial"
            self._metrics.observe_search(found.way, outcome, time.monotonic() - begun)
        return await self._page(found, lag_s)

    async def facets(self, history: History, query: JobQuery) -> Facets:
        """Return what the jobs of a search have in common, as the history knows them.

        Raises: QueryError, HistoryError, and IngestError (429) while facets of too many searches are counted.
        """
        known_types = await self.known_types(query.tenant, query.types) if _names_types(query) else ()
        with self._facet_slots.taken(query.tenant):
            found, lag_s = await self._lag.beside(history.search.facets(query, known_types=known_types))
        return Facets(items=found.facets, count=found.count, complete=found.is_complete, history_lag_s=lag_s)

    @contextmanager
    def _observed(self, tenant: Tenant) -> Iterator[None]:
        """Take a slot for a search, and observe one that comes to no page."""
        begun = time.monotonic()
        try:
            with self.slots.taken(tenant):
                yield
        except (HistoryError, IngestError) as error:
            outcome = "refused" if isinstance(error, IngestError) else "unavailable"
            self._metrics.observe_search(NO_WAY, outcome, time.monotonic() - begun)
            raise

    async def known_types(self, tenant: Tenant, patterns: Sequence[str] = ()) -> Sequence[JobType] | None:
        """Return the types of which there ever were jobs, by name; None when Redis does not say.

        `patterns` leave out all others, where there are any.
        """
        try:
            async with Deadline(asyncio.get_running_loop(), REDIS_WITHIN_S):
                queues = await self._broker.registry.queues(tenant, with_dormant=True)
        except (StoreError, TimeoutError):
            return None
        return sorted({queue.type for queue in queues if not patterns or is_among(queue.type, patterns)})

    async def _page(self, found: SearchedJobs, lag_s: float | None) -> Page:
        jobs = await self._fresh(found.jobs)
        return Page(
            # A job that has gone on since is left out where it fits no more: the page is shorter by it.
            [job for job in jobs if found.states is None or job.state in found.states],
            found.next_cursor,
            searched_until=found.searched_until,
            complete=found.is_complete,
            history_lag_s=lag_s,
            count=found.count,
            hint=found.hint or None,
        )

    async def _fresh(self, stored: Sequence[StoredJob]) -> list[Job]:
        """Return jobs as they are now: those that had not ended are read from Redis, in one round trip."""
        unsettled = [one for one in stored if not one.job.state.is_settled]
        live = await self._live([(one.queue, one.job) for one in unsettled]) if unsettled else {}
        codec = self._broker.codec
        return [live.get(one.job.id) or _of_history(await codec.read_job(one.queue.tenant, one.job)) for one in stored]

    async def _live(self, jobs: Sequence[tuple[Queue, Job]]) -> dict[str, Job]:
        try:
            async with Deadline(asyncio.get_running_loop(), REDIS_WITHIN_S):
                found = await self._broker.views.jobs_anywhere([(queue, job.id) for queue, job in jobs])
        except (StoreError, TimeoutError):
            return {}
        return {
            job.id: job for (_, stored), job in zip(jobs, found, strict=True) if job and job.version >= stored.version
        }


def _names_types(query: JobQuery) -> bool:
    """Whether a query may name job types: it is not worth a round trip otherwise."""
    return query.type is not None or bool(query.types) or any(name in query.q for name in ("type", "queue", "task"))


def _of_history(job: Job) -> Job:
    """Return a job as the history has it; one that had not ended may have gone on."""
    return replace(job, source="history", fresh=job.state.is_settled)
