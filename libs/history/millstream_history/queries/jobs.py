"""Reads jobs and their transitions."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_contracts import JobId, Tenant, made_at
from millstream_history.projection.columns import (
    JOB_ROWS,
    SHORT_TRANSITION_ROWS,
    TRANSITION_ROWS,
    StoredJob,
    Transition,
    stored_job,
    stored_transition,
)
from millstream_history.tables import JOBS, TRANSITIONS


async def find_job(connection: AsyncConnection, tenant: Tenant, job_id: JobId) -> StoredJob | None:
    """Return the known state of a job; None for an unknown one."""
    columns = JOBS.c
    query = select(*(columns[name] for name in JOB_ROWS.names)).where(
        columns.tenant == tenant, columns.id == job_id, columns.created_at == made_at(job_id)
    )
    row = (await connection.execute(query)).one_or_none()
    return stored_job(row) if row else None


async def find_owner(connection: AsyncConnection, tenant: Tenant, job_id: JobId) -> str | None:
    """Return who has submitted a job; None where that is not known, and for an unknown job."""
    columns = JOBS.c
    query = select(columns.submitted_by).where(
        columns.tenant == tenant, columns.id == job_id, columns.created_at == made_at(job_id)
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def find_transitions(
    connection: AsyncConnection, tenant: Tenant, job_id: JobId, *, with_logs: bool = False
) -> list[Transition]:
    """Return the known transitions of a job, in order; `with_logs` with the log lines of its attempts."""
    columns, rows = TRANSITIONS.c, TRANSITION_ROWS if with_logs else SHORT_TRANSITION_ROWS
    query = (
        select(*(columns[name] for name in rows.names))
        .where(columns.tenant == tenant, columns.job_id == job_id, columns.created_at == made_at(job_id))
        .order_by(columns.version)
    )
    return [stored_transition(row, rows) for row in await connection.execute(query)]
