"""An operation as it is stored, and one step of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Row

from millstream_contracts import (
    BulkOperation,
    JobId,
    NewOperation,
    OperationKind,
    OperationOptions,
    OperationRefusal,
    OperationSample,
    OperationState,
    Tenant,
)
from millstream_history.search.plan import JobQuery


class StoredOptions(OperationOptions, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked for, of any kind."""

    kind: OperationKind
    subject: str | None = None
    """Of the kind `delete-tenant`: the tenant."""
    by: str = ""
    """Of the kind `delete-tenant`: id of the key that asked for it; empty where no credentials are asked for."""


class StoredOperation(Struct, frozen=True, kw_only=True):
    """An operation, with what its worker has to know."""

    tenant: Tenant
    shown: BulkOperation
    asked: StoredOptions
    query: JobQuery | None
    """The frozen query; None where ids were given."""
    cutoff_ms: int
    """Unix ms by the clock of Redis: jobs that died later are left alone."""
    cursor: str | None
    is_exhausted: bool
    canary_ids: list[JobId]
    is_canary_over: bool
    """Whether the canary is waited for no longer."""
    lease: str


class Advance(Struct, frozen=True, kw_only=True):
    """What one step has done, and where the operation is then."""

    state: OperationState
    detail: str = ""
    found: int = 0
    done: int = 0
    refused: int = 0
    failed: int = 0
    cursor: str | None = None
    is_exhausted: bool = False
    canary_ids: list[JobId] = []
    samples: list[OperationSample] = []
    refusals: list[OperationRefusal] = []
    job_id: JobId | None = None
    """The job that writes an export; None where that is known already, or there is none."""
    removed: dict[str, int] = {}
    """What a deletion of a tenant has removed so far, all of it."""
    canary_within_s: float | None = None
    """How long the canary is waited for, from now on; None where that is decided already."""
    pause_s: float = 0.0
    """The time until the next step."""


def stored_operation(row: Row[Any]) -> StoredOperation:
    """Return a row as an operation."""
    asked = msgspec.convert(row.asked, StoredOptions)
    jobs = None if asked.ids is None else len(asked.ids)
    return StoredOperation(
        tenant=Tenant(row.tenant),
        shown=BulkOperation(
            id=row.id,
            kind=asked.kind,
            state=OperationState(row.state),
            detail=row.detail,
            q=asked.q,
            group=asked.group,
            jobs=jobs,
            rate=asked.rate,
            canary=asked.canary,
            dry_run=asked.dry_run,
            created_at=row.created_at,
            updated_at=row.updated_at,
            finished_at=row.finished_at,
            found=row.found,
            done=row.done,
            refused=row.refused,
            failed=row.failed,
            priority=asked.priority,
            fresh=asked.fresh,
            patch=asked.patch,
            export=asked.export,
            job_id=row.job_id,
            samples=msgspec.convert(row.samples, list[OperationSample]),
            refusals=msgspec.convert(row.refusals, list[OperationRefusal]),
            eta_s=None
            if jobs is None or row.finished_at or asked.kind == "export"
            else round((jobs - row.found) / asked.rate, 1),
            tenant=asked.subject,
            removed=row.removed,
        ),
        asked=asked,
        query=None if row.query is None else msgspec.convert(row.query, JobQuery),
        cutoff_ms=row.cutoff_ms,
        cursor=row.cursor,
        is_exhausted=row.is_exhausted,
        canary_ids=[JobId(one) for one in row.canary_ids],
        is_canary_over=row.canary_until is not None and row.canary_until <= row.updated_at,
        lease=row.lease or "",
    )


def new_row(
    tenant: Tenant, operation_id: str, asked: NewOperation | StoredOptions, query: JobQuery | None, cutoff_ms: int
) -> dict[str, Any]:
    """Return the row of a new operation."""
    now = datetime.now(UTC)
    return {
        "tenant": tenant,
        "id": operation_id,
        "kind": asked.kind,
        "state": OperationState.PENDING.value,
        "detail": "",
        "asked": msgspec.to_builtins(asked),
        "query": None if query is None else msgspec.to_builtins(query),
        "cutoff_ms": cutoff_ms,
        "created_at": now,
        "updated_at": now,
        "found": 0,
        "done": 0,
        "refused": 0,
        "failed": 0,
        "is_exhausted": False,
        "canary_ids": [],
        "next_at": now,
    }


def soon(seconds: float) -> timedelta:
    """Return a length of time."""
    return timedelta(seconds=seconds)
