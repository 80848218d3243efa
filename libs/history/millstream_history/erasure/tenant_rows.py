"""Removes the rows of a tenant that is deleted: `History.tenant_rows`. Its audit records stay for their retention."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import Tenant
from millstream_history.connection.database import transaction
from millstream_history.tables import (
    DEAD_CHANGES,
    DEAD_COUNTS,
    ERASED_JOBS,
    EVENT_GAPS,
    JOBS,
    OPERATIONS,
    STATS_HOURS,
    STATS_MINUTES,
    TRANSITIONS,
    WEBHOOK_ENDPOINTS,
    WORKER_SPANS,
    WORKFLOW_NODES,
    WORKFLOWS,
)

ROWS_AT_ONCE = 1_000
"""The rows of one transaction: a writer that needs one of them waits for as long as these take."""

_BY_DAY = ((TRANSITIONS, "job_id"), (JOBS, "id"), (WORKFLOW_NODES, "workflow_id"), (WORKFLOWS, "id"))
"""Tables in partitions, each with what its rows are found by together with the time that names the partition."""

# The counts of dead jobs behind the jobs: triggers write changes of them for each dead job that goes.
_WHOLE = (
    WEBHOOK_ENDPOINTS,
    OPERATIONS,
    EVENT_GAPS,
    ERASED_JOBS,
    WORKER_SPANS,
    STATS_MINUTES,
    STATS_HOURS,
    DEAD_CHANGES,
    DEAD_COUNTS,
)
_REMOVE = "DELETE FROM {0} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {0} WHERE tenant = :tenant LIMIT :most))"

TABLES_OF_TENANTS: Sequence[Table] = (*(table for table, _ in _BY_DAY), *_WHOLE)
"""Every table that has rows of tenants, but those of the audit trail."""


class TenantRows:
    """What a history database has of tenants. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def remove(self, tenant: Tenant, *, most: int = ROWS_AT_ONCE) -> tuple[str, int]:
        """Remove rows of the first table that has any; of a table in partitions all those of `most` jobs or workflows.

        Returns: the name of the table, and how many; an empty name once no table has rows of the tenant.
        """
        async with transaction(self._engine) as connection:
            for table, key in _BY_DAY:
                if removed := await _remove_by_day(connection, table, key, tenant, most):
                    return table.name, removed
            for table in _WHOLE:
                removing = text(_REMOVE.format(table.name))
                if removed := (await connection.execute(removing, {"tenant": tenant, "most": most})).rowcount:
                    return table.name, removed
        return "", 0


async def _remove_by_day(connection: AsyncConnection, table: Table, key: str, tenant: Tenant, most: int) -> int:
    columns: Any = table.c
    finding = select(columns[key], columns.created_at).where(columns.tenant == tenant).limit(most)
    found = (await connection.execute(finding)).all()
    if not found:
        return 0
    times = [row.created_at for row in found]
    chosen = columns[key].in_(sorted({row[0] for row in found}))
    # With the days, so that no other partition is looked at.
    ours = (columns.tenant == tenant, chosen, columns.created_at.between(min(times), max(times)))
    return (await connection.execute(delete(table).where(*ours))).rowcount
