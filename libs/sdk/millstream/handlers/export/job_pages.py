"""Reads the jobs that a query finds over the HTTP API, page by page: workers have no rights on the database."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from millstream.client import SyncClient
from millstream.context import SyncContext
from millstream.errors import ApiError, InvalidError, JobNotFoundError
from millstream.handlers.shared import Shared
from millstream.steering import Dead, Discard
from millstream_contracts import Job, Page, StatGap

JOBS_AT_ONCE = 500

STEP = timedelta(days=7)
"""The longest of statistics, of which the gaps alone are read."""


class JobPages:
    """The jobs that a query finds, newest first, and what is known of the search once they are read."""

    def __init__(
        self,
        client: SyncClient,
        query: str,
        *,
        limit: int,
        as_of: datetime | None = None,
        with_payloads: bool = False,
    ) -> None:
        """Take the most jobs that are read, and whether each is read once more for its payload and result."""
        self._client = client
        self._query = query
        self._as_of = as_of
        self._limit = limit
        self._with_payloads = with_payloads
        self.newest: datetime | None = None
        self.oldest: datetime | None = None
        self.rows = 0
        self.is_whole = False
        """Whether the query finds no more than what was read."""
        self.lag_s: float | None = None
        """How far the history was behind: what happened within this time may be missing."""
        self.missing: list[str] = []
        """Ids that are no jobs, or are erased."""

    def read(self, ctx: SyncContext[Shared]) -> Iterator[Job]:
        """Yield the jobs. Raises: Dead, for a query that is wrong or without a history; Discard, when cancelled."""
        cursor: str | None = None
        while True:
            page = self._page(cursor)
            self.lag_s = page.history_lag_s
            for job in page.items:
                if self.rows == self._limit:
                    return
                self._count(job)
                yield self._whole(job)
            if ctx.cancelled:
                raise Discard("cancelled")
            ctx.progress(min(99.0, 100 * self.rows / self._limit), f"{self.rows:,} jobs")
            cursor = page.next_cursor
            if cursor is None:
                self.is_whole = True
                return

    def _page(self, cursor: str | None) -> Page:
        try:
            # Of a search goes on what the cursor holds.
            return self._client.jobs(self._query, as_of=self._as_of, cursor=cursor, limit=JOBS_AT_ONCE)
        except InvalidError as error:
            raise Dead(f"the jobs cannot be searched: {error}") from error

    def _count(self, job: Job) -> None:
        self.newest = max(self.newest or job.created_at, job.created_at)
        self.oldest = min(self.oldest or job.created_at, job.created_at)
        self.rows += 1

    def _whole(self, job: Job) -> Job:
        if not self._with_payloads:
            return job
        try:
            return self._client.get(job.id)
        except JobNotFoundError:
            return job  # it was forgotten in between


class JobsById(JobPages):
    """Jobs of some ids, in their order."""

    def __init__(self, client: SyncClient, ids: Sequence[str], *, limit: int, with_payloads: bool = False) -> None:
        super().__init__(client, "", limit=limit, with_payloads=with_payloads)
        self._ids = ids

    def read(self, ctx: SyncContext[Shared]) -> Iterator[Job]:
        """Yield the jobs. Raises: Discard, when cancelled."""
        for job_id in self._ids[: self._limit]:
            if ctx.cancelled:
                raise Discard("cancelled")
            try:
                job = self._client.get(job_id)
            except JobNotFoundError:
                self.missing.append(job_id)
                continue
            self._count(job)
            yield job
        self.is_whole = not self.missing and len(self._ids) <= self._limit


def gaps_since(client: SyncClient, oldest: datetime | None) -> list[StatGap] | None:
    """Return the times since then of which events were lost; None where that is not known, as of very old jobs."""
    if oldest is None:
        return []
    try:
        return client.stats(since=oldest, step=STEP).gaps
    except ApiError:
        return None  # the file is whole by now: it is not written again for this
