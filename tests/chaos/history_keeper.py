"""The history database under test: a real PostgreSQL that can be killed, cut off, locked and kept from writing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import anyio.to_thread
from chaos.evidence import HistoryRecords
from chaos.fault_proxy import HOST, FaultProxy
from history_databases import connected, execute, query, rows_of
from sqlalchemy import text
from sqlalchemy.engine import make_url
from topologies.postgres import LocalPostgres, find_postgres, local_postgres

from millstream_contracts import AuditRecord, Tenant
from millstream_history import AuditQuery, migrate, open_history

AUDIT_RECORDS_AT_ONCE = 500

_FULL = (
    """CREATE FUNCTION refuse_rows() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$""",
    "CREATE TRIGGER refuse_rows BEFORE INSERT ON jobs FOR EACH STATEMENT EXECUTE FUNCTION refuse_rows()",
)
_READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()"
_WRITABLE = "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()"


class HistoryKeeper:
    """Keeps one server; an async context manager. Services reach it through one proxy."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._server: LocalPostgres
        self.proxy: FaultProxy

    @property
    def url(self) -> str:
        """Return the address for services."""
        return make_url(self._server.url).set(port=self.proxy.port).render_as_string(hide_password=False)

    async def __aenter__(self) -> Self:
        programs = find_postgres()
        assert programs, "this scenario needs a PostgreSQL; on Debian: apt-get install postgresql"
        # It is killed, but its machine is not: what it has written to files is there at the next start.
        context = local_postgres(programs, {"fsync": "off"})
        self._server = await anyio.to_thread.run_sync(context.__enter__)
        self._stack.callback(context.__exit__, None, None, None)
        await migrate(self._server.url)
        self.proxy = await self._stack.enter_async_context(FaultProxy((HOST, self._server.port)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        """End the server as a power cut does; start it again with its data at the end of the block."""
        await anyio.to_thread.run_sync(self._server.stop)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._server.start)

    @asynccontextmanager
    async def silent(self) -> AsyncIterator[None]:
        """Let connections be made, and nothing come back."""
        self.proxy.swallow()
        try:
            yield
        finally:
            self.proxy.heal()

    @asynccontextmanager
    async def slow(self) -> AsyncIterator[None]:
        """Delay all data, and let little pass."""
        self.proxy.slow(delay_s=0.2, bytes_per_s=200_000)
        try:
            yield
        finally:
            self.proxy.heal()

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Refuse every write, as a standby does and as some hosts do when a disk runs full."""
        await execute(self._server.url, _READ_ONLY)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await execute(self._server.url, _WRITABLE)

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Refuse rows with the error of a full disk."""
        async with connected(self._server.url) as connection:
            for statement in _FULL:
                await connection.execute(text(statement))
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await execute(self._server.url, "DROP FUNCTION refuse_rows CASCADE")

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the table of jobs, as a careless operator does."""
        async with connected(self._server.url) as connection:
            await connection.execute(text("BEGIN"))
            await connection.execute(text("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await connection.execute(text("ROLLBACK"))

    async def workflows(self) -> dict[str, tuple[str, int]]:
        """Return the workflows that the history holds: for each its state, and how many nodes it has."""
        found = await query(
            self._server.url,
            "SELECT id, state, (SELECT count(*) FROM workflow_nodes WHERE workflow_id = id) FROM workflows",
        )
        return {workflow: (state, nodes) for workflow, state, nodes in found}

    async def rows_of(self, tenant: Tenant) -> dict[str, int]:
        """Return how many rows there are of a tenant, by table; its audit records are not among them."""
        return await rows_of(self._server.url, tenant)

    async def audit_records(self, tenant: Tenant) -> list[AuditRecord]:
        """Return the audit records of a tenant, oldest first."""
        found: list[AuditRecord] = []
        async with open_history(self._server.url) as history:
            while True:
                behind = found[-1].seq if found else 0
                asked = AuditQuery(is_oldest_first=True)
                page = await history.audit.page(tenant, asked, behind=behind, limit=AUDIT_RECORDS_AT_ONCE)
                if not page:
                    return found
                found += page

    async def records(self) -> HistoryRecords:
        """Return what the history holds."""
        steps = await query(self._server.url, "SELECT job_id, version, kind, state FROM transitions")
        jobs = await query(self._server.url, "SELECT id, state FROM jobs")
        return HistoryRecords([(job, version, kind, state) for job, version, kind, state in steps], dict(jobs))
