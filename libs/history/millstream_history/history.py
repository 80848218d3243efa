"""What the history database remembers, written in batches. Written by dispatchers, any number at once.

The same batch written twice leaves what it left the first time, and an older version of a job never replaces a newer.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import itemgetter

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import Event, Job, JobId, JobTransition, Queue, QueueEvents
from millstream_history.database import open_engine, transaction
from millstream_history.errors import HistoryError
from millstream_history.loading import FORGOTTEN_LOADER, JOB_LOADER, TRANSITION_LOADER
from millstream_history.migrating import Schema, require_usable
from millstream_history.rows import Row, forgotten_row, job_row, transition_rows

_JOB_KEY, _TRANSITION_KEY = itemgetter(0, 1), itemgetter(0, 1, 2)


class Rows(Struct, frozen=True):
    """A batch, ready to be stored."""

    jobs: list[Row]
    forgotten: list[Row]
    transitions: list[Row]


class History:
    """A history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._schema: Schema | None = None
        """That which was found; None when it has to be looked at."""

    async def store(self, rows: Rows) -> Schema:
        """Store a batch in one transaction. Returns: the tables that it went into. Raises: HistoryError."""
        schema = self._schema or await self._look()
        try:
            async with self._writing(schema) as connection:
                await JOB_LOADER.load(connection, rows.jobs)
                await FORGOTTEN_LOADER.load(connection, rows.forgotten)
                await TRANSITION_LOADER.load(connection, rows.transitions)
        except HistoryError:
            # Whatever was wrong may be another database by now, one that was restored from last week.
            self._schema = None
            raise
        return schema

    async def look(self) -> Schema:
        """Return which tables there are, once the database has shown that it takes rows. Raises: HistoryError."""
        self._schema = None
        schema = await self._look()
        async with self._writing(schema) as connection:
            for loader in (JOB_LOADER, FORGOTTEN_LOADER, TRANSITION_LOADER):
                await loader.load_nothing(connection)
        return schema

    async def _look(self) -> Schema:
        async with transaction(self._engine) as connection:
            self._schema = await connection.run_sync(require_usable)
        return self._schema

    def _writing(self, schema: Schema) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self._engine, newer_revision=schema.revision if schema.newer else None)


@asynccontextmanager
async def open_history(url: str) -> AsyncIterator[History]:
    """Open a history database by URL. Nothing is sent before the first call. Raises: HistoryUrlError."""
    async with open_engine(url) as engine:
        yield History(engine)


def rows_of(batches: Sequence[QueueEvents], jobs: Mapping[Queue, Mapping[JobId, Job]]) -> Rows:
    """Return events, and what their jobs are by now, as a batch to store.

    A job that is not among `jobs` is one that Redis has forgotten: of it only that is stored which the events say.
    """
    # Always in the order of the primary keys: writers of the same rows in two orders would wait for each other.
    return Rows(
        jobs=sorted((job_row(queue, job) for queue, some in jobs.items() for job in some.values()), key=_JOB_KEY),
        forgotten=sorted(_forgotten(batches, jobs), key=_JOB_KEY),
        transitions=sorted(
            (row for batch in batches for row in _transitions(batch, jobs.get(batch.queue, {}))), key=_TRANSITION_KEY
        ),
    )


def _forgotten(batches: Sequence[QueueEvents], jobs: Mapping[Queue, Mapping[JobId, Job]]) -> list[Row]:
    """Return rows of the jobs that only the events still tell of, by the last of them."""
    last: dict[tuple[Queue, JobId], tuple[JobTransition, Event]] = {}
    for batch in batches:
        known = jobs.get(batch.queue, {})
        for event in batch.events:
            for job in event.jobs:
                seen = last.get((batch.queue, job.id))
                if job.id not in known and (seen is None or seen[0].version < job.version):
                    last[batch.queue, job.id] = job, event
    return [forgotten_row(queue, job, event) for (queue, _), (job, event) in last.items()]


def _transitions(batch: QueueEvents, known: Mapping[JobId, Job]) -> list[Row]:
    errors = {job.id: job.error for job in known.values() if job.error}
    # Backwards: of several failures of a job it is the last one whose error is known.
    return [row for event in reversed(batch.events) for row in transition_rows(batch.queue, event, errors)]
