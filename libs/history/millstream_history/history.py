"""The history database: dispatchers write it in batches, any number at once, and jobs are read one by one.

A batch that is written twice changes nothing the second time, and an older version of a job never replaces a newer.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import JobId, Tenant
from millstream_history.audit.audit_records import AuditRecords
from millstream_history.connection.database import CONNECTIONS, open_engine, transaction
from millstream_history.connection.reading import Reader
from millstream_history.dead_counts import DeadCounts
from millstream_history.erasure.erasures import Erasures, without_erased
from millstream_history.erasure.tenant_rows import TenantRows
from millstream_history.errors import HistoryConflictError, HistoryError
from millstream_history.migrating import Schema, require_usable
from millstream_history.operations import Operations
from millstream_history.optional_indexes import OptionalIndexes, optional_indexes
from millstream_history.partitions.days import Days
from millstream_history.projection.columns import StoredJob, Transition
from millstream_history.projection.loading import FORGOTTEN_LOADER, JOB_LOADER, TRANSITION_LOADER
from millstream_history.projection.rows import Rows
from millstream_history.projection.worker_spans import SPAN_LOADER, Span, StoredSpans
from millstream_history.queries.jobs import find_job, find_owner, find_transitions
from millstream_history.queries.state import HistoryState, find_state
from millstream_history.repair.gaps import Gaps
from millstream_history.repair.repairer import Repairer
from millstream_history.search.searcher import Search
from millstream_history.statistics.statistics import Statistics
from millstream_history.statistics.tally import HOUR_LOADER, MINUTE_LOADER, SHARDS, count
from millstream_history.webhooks import Endpoints
from millstream_history.workflows import PastWorkflows
from millstream_history.workflows.workflow_rows import NODE_LOADER, WORKFLOW_LOADER

LOADERS = (
    JOB_LOADER,
    FORGOTTEN_LOADER,
    TRANSITION_LOADER,
    SPAN_LOADER,
    MINUTE_LOADER,
    HOUR_LOADER,
    WORKFLOW_LOADER,
    NODE_LOADER,
)


class History:
    """A history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader
        self.days = Days(engine)
        self.gaps = Gaps(engine, reader)
        self.dead_counts = DeadCounts(engine)
        self.repairer = Repairer(engine)
        self.statistics = Statistics(engine, reader)
        self._shard = random.randrange(SHARDS)
        self.search = Search(reader)
        self._spans = StoredSpans()
        self.webhooks = Endpoints(reader)
        self.operations = Operations(reader)
        self.erasures = Erasures(engine, reader)
        self.tenant_rows = TenantRows(engine)
        self.workflows = PastWorkflows(engine, reader)
        self.audit = AuditRecords(engine, reader)
        self._schema: Schema | None = None
        """That which was found; None when it has to be looked at."""

    async def store(self, rows: Rows) -> Schema:
        """Store a batch in one transaction. Returns: the schema that it was written to. Raises: HistoryError."""
        schema = self._schema or await self._look()
        spans = self._spans.missing(rows.spans)
        try:
            try:
                await self._write(schema, rows, spans)
            except HistoryConflictError:
                await self._write(schema, rows, spans)
        except HistoryError:
            # Whatever was wrong may be another database by now, one that was restored from last week.
            self._schema = None
            self._spans = StoredSpans()
            raise
        self._spans.add(spans)
        return schema

    async def _write(self, schema: Schema, rows: Rows, spans: Sequence[Span]) -> None:
        async with self._writing(schema) as connection:
            rows = await without_erased(connection, rows)
            await JOB_LOADER.load(connection, rows.jobs)
            await FORGOTTEN_LOADER.load(connection, rows.forgotten)
            inserted = await TRANSITION_LOADER.load(connection, rows.transitions)
            shard, beside = self._shard, rows.counted
            await count(connection, rows.transitions, inserted=inserted, shard=shard, beside=beside)
            await SPAN_LOADER.load(connection, spans)

    async def job(self, tenant: Tenant, job_id: JobId) -> StoredJob | None:
        """Return the known state of a job; None for an unknown one. Raises: HistoryError."""
        return await self._reader.read(lambda connection: find_job(connection, tenant, job_id))

    async def owner(self, tenant: Tenant, job_id: JobId) -> str | None:
        """Return who has submitted a job; None where that is not known. Raises: HistoryError."""
        return await self._reader.read(lambda connection: find_owner(connection, tenant, job_id))

    async def transitions(self, tenant: Tenant, job_id: JobId, *, with_logs: bool = False) -> list[Transition]:
        """Return the known transitions of a job, in order, `with_logs` with log lines. Raises: HistoryError."""
        return await self._reader.read(
            lambda connection: find_transitions(connection, tenant, job_id, with_logs=with_logs)
        )

    async def look(self) -> Schema:
        """Return the schema, once the database has shown that it accepts rows. Raises: HistoryError."""
        self._schema = None
        schema = await self._look()
        async with self._writing(schema) as connection:
            for loader in LOADERS:
                await loader.load_nothing(connection)
        return schema

    async def state(self) -> HistoryState:
        """Return how the tables are, by reads alone. Raises: HistoryError."""
        return await self._reader.read(find_state)

    async def optional_indexes(self) -> OptionalIndexes:
        """Return which optional indexes the database has. Raises: HistoryError."""
        async with transaction(self._engine) as connection:
            return await connection.run_sync(optional_indexes)

    async def _look(self) -> Schema:
        async with transaction(self._engine) as connection:
            self._schema = await connection.run_sync(require_usable)
        return self._schema

    def _writing(self, schema: Schema) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self._engine, newer_revision=schema.revision if schema.newer else None)


@asynccontextmanager
async def open_history(
    url: str, *, connections: int = CONNECTIONS, read_within_s: float | None = None
) -> AsyncIterator[History]:
    """Open a history database by URL. Nothing is sent before the first call.

    A read that takes longer than `read_within_s` ends as HistoryUnavailableError; searches, which return what they have
    found when their time is over, are given as much more time as that is longer than theirs. Raises: HistoryUrlError.
    """
    async with open_engine(url, connections=connections) as engine:
        reader = Reader(engine, within_s=read_within_s)
        try:
            yield History(engine, reader)
        finally:
            await reader.aclose()
