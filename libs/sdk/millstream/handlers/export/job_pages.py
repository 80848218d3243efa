"""Reads the jobs that a query finds over the HTTP API, page by page: workers have no rights on the database."""

from collections.abc import Iterator
from datetime import datetime

from millstream.client import SyncClient
from millstream.context import SyncContext
from millstream.errors import InvalidError, JobNotFoundError
from millstream.handlers.shared import Shared
from millstream.steering import Dead, Discard
from millstream_contracts import Job, Page

JOBS_AT_ONCE = 500


class JobPages:
    """The jobs that a query finds, newest first, and what is known of the search once they are read."""

    def __init__(self, client: SyncClient, query: str, *, limit: int, with_payloads: bool = False) -> None:
        """Take the most jobs that are read, and whether each is read once more for its payload and result."""
        self._client = client
        self._query = query
        self._limit = limit
        self._with_payloads = with_payloads
        self.newest: datetime | None = None
        self.oldest: datetime | None = None
        self.rows = 0
        self.is_whole = False
        """Whether the query finds no more than what was read."""
        self.lag_s: float | None = None
        """How far the history was behind: what happened within this time may be missing."""

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
            return self._client.jobs(self._query, cursor=cursor, limit=JOBS_AT_ONCE)
        except InvalidError as error:
            raise Dead(f"the jobs cannot be searched: {error}") from error

    def _count(self, job: Job) -> None:
        self.newest = self.newest or job.created_at
        self.oldest = job.created_at
        self.rows += 1

    def _whole(self, job: Job) -> Job:
        if not self._with_payloads:
            return job
        try:
            return self._client.get(job.id)
        except JobNotFoundError:
            return job  # it was forgotten in between
