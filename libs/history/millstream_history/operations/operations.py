"""Keeps the operations: `History.operations`. A lease gives each to one dispatcher at a time, for one step.

A step ends in one UPDATE of cursor and counters. It is refused to a dispatcher whose lease is over, and leaves the
state alone where a person has paused or cancelled the operation meanwhile.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import case, delete, func, insert, null, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_contracts import (
    DEFAULT_TENANT,
    OF_OPEN_JOBS,
    BulkOperation,
    JobState,
    NewOperation,
    OperationKind,
    OperationState,
    Tenant,
)
from millstream_history.by_hand import BY_HAND
from millstream_history.connection.reading import Reader
from millstream_history.operations.stored_operation import (
    Advance,
    StoredOperation,
    StoredOptions,
    new_row,
    soon,
    stored_operation,
)
from millstream_history.search.plan import JobQuery, plan_of
from millstream_history.search.searcher import Search
from millstream_history.tables import OPERATIONS

_COLUMNS = OPERATIONS.c
OF_ANY_STATE = frozenset({"erase", "export"})
"""Kinds of operations whose query finds jobs in any state; that of all others finds dead ones."""

DELETE_TENANT: OperationKind = "delete-tenant"

MAX_PAUSED = 100

_ACTIVE = (OperationState.PENDING, OperationState.CANARY, OperationState.WAITING, OperationState.RUNNING)
_ENDS = (OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED)


class Operations:
    """The operations in one history database. Every method may raise HistoryError."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @staticmethod
    def frozen_query(tenant: Tenant, asked: NewOperation, asked_at: datetime) -> JobQuery | None:
        """Return the query of an operation, which means the same jobs for ever; None for one of ids.

        Raises: QueryError.
        """
        if asked.ids is not None:
            return None
        q, job_type = asked.q or "", None
        is_open = asked.kind in OF_OPEN_JOBS
        state: str | None = None if is_open or asked.kind in OF_ANY_STATE else JobState.DEAD.value
        if asked.group is not None:
            q, job_type, state = f'fingerprint:"{asked.group.fingerprint}"', asked.group.type, JobState.DEAD.value
        query = Search.freeze(
            JobQuery(tenant=tenant, asked_at=asked_at, q=q, type=job_type, state=state, is_open=is_open)
        )
        plan_of(query)
        return query

    async def add(
        self, tenant: Tenant, operation_id: str, asked: NewOperation, query: JobQuery | None, cutoff_ms: int
    ) -> StoredOperation:
        """Store a new operation."""
        return await self._add(new_row(tenant, operation_id, asked, query, cutoff_ms))

    async def add_deletion(self, operation_id: str, tenant: Tenant, cutoff_ms: int, *, by: str) -> StoredOperation:
        """Store the deletion of a tenant, which is an operation of the operator's own tenant.

        `by` is the id of the key that asks for it.
        """
        asked = StoredOptions(kind=DELETE_TENANT, subject=tenant, by=by)
        return await self._add(new_row(DEFAULT_TENANT, operation_id, asked, None, cutoff_ms))

    async def _add(self, row: dict[str, Any]) -> StoredOperation:
        storing = insert(OPERATIONS).values(row).returning(OPERATIONS)

        async def store(connection: AsyncConnection) -> StoredOperation:
            return stored_operation((await connection.execute(storing)).one())

        return await self._reader.read(store)

    async def of(self, tenant: Tenant, *, before: str | None, limit: int) -> list[StoredOperation]:
        """Return the operations of a tenant, newest first, from behind an id on."""
        # Ids begin with their time.
        where = (_COLUMNS.tenant == tenant, *([_COLUMNS.id < before] if before else []))
        return await self._select(*where, limit=limit)

    async def paused(self) -> list[BulkOperation]:
        """Return the paused operations of all tenants, newest first, MAX_PAUSED at most."""
        found = await self._select(_COLUMNS.state == OperationState.PAUSED.value, limit=MAX_PAUSED)
        return [one.shown for one in found]

    async def find(self, tenant: Tenant, operation_id: str) -> StoredOperation | None:
        """Return an operation; None when there is no such one."""
        found = await self._select(*_place(tenant, operation_id), limit=1)
        return found[0] if found else None

    async def pause(self, tenant: Tenant, operation_id: str) -> StoredOperation | None:
        """Pause an operation that is under way. Returns: it as it is then; None where it is not."""
        values = {"state": OperationState.PAUSED.value, "resumes_to": _COLUMNS.state, "detail": BY_HAND}
        return await self._change(tenant, operation_id, _ACTIVE, values)

    async def resume(self, tenant: Tenant, operation_id: str) -> StoredOperation | None:
        """Let a paused operation go on. Returns: it as it is then; None where it is not paused."""
        values = {"state": _COLUMNS.resumes_to, "resumes_to": None, "detail": "", "next_at": func.now()}
        return await self._change(tenant, operation_id, (OperationState.PAUSED,), values)

    async def cancel(self, tenant: Tenant, operation_id: str) -> StoredOperation | None:
        """End an operation; what is done stays done. Returns: it as it is then; None where it has ended already."""
        values = {"state": OperationState.CANCELLED.value, "finished_at": func.now(), **_WITHOUT_SUBJECT}
        return await self._change(tenant, operation_id, (*_ACTIVE, OperationState.PAUSED), values)

    async def take(self, lease: str, *, lease_s: float) -> StoredOperation | None:
        """Lease the operation whose next step has been due for longest; None when none is due."""
        due = (
            select(_COLUMNS.tenant, _COLUMNS.id)
            .where(
                _COLUMNS.finished_at.is_(None),
                _COLUMNS.state.in_(_ACTIVE),
                _COLUMNS.next_at <= func.now(),
                or_(_COLUMNS.lease_until.is_(None), _COLUMNS.lease_until < func.now()),
            )
            .order_by(_COLUMNS.next_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taking = (
            update(OPERATIONS)
            .where(tuple_(_COLUMNS.tenant, _COLUMNS.id).in_(due))
            .values(lease=lease, lease_until=func.now() + soon(lease_s), updated_at=func.now())
            .returning(OPERATIONS)
        )
        return await self._one(taking)

    async def advance(self, taken: StoredOperation, step: Advance) -> bool:
        """Store one step and give the lease back. Returns: False, when the lease was over and nothing is stored."""
        values: dict[str, Any] = {
            **_moves(taken.shown.state, step),
            "found": _COLUMNS.found + step.found,
            "done": _COLUMNS.done + step.done,
            "refused": _COLUMNS.refused + step.refused,
            "failed": _COLUMNS.failed + step.failed,
            "cursor": step.cursor,
            "is_exhausted": step.is_exhausted,
            "canary_ids": list(step.canary_ids),
            "samples": msgspec.to_builtins(step.samples),
            "refusals": msgspec.to_builtins(step.refusals),
            "removed": step.removed,
            "job_id": _COLUMNS.job_id if step.job_id is None else step.job_id,
            "next_at": func.now() + soon(step.pause_s),
            "updated_at": func.now(),
            "lease": None,
            "lease_until": None,
        }
        if step.canary_within_s is not None:
            values["canary_until"] = func.now() + soon(step.canary_within_s)
        place = (*_place(taken.tenant, taken.shown.id), _COLUMNS.lease == taken.lease)
        storing = update(OPERATIONS).where(*place).values(values).returning(OPERATIONS)
        return await self._one(storing) is not None

    async def give_back(self, taken: StoredOperation, *, pause_s: float) -> None:
        """Give a lease back without a step, which is then due again after a pause."""
        place = (*_place(taken.tenant, taken.shown.id), _COLUMNS.lease == taken.lease)
        values = {"lease": None, "lease_until": None, "next_at": func.now() + soon(pause_s)}
        await self._one(update(OPERATIONS).where(*place).values(values).returning(OPERATIONS))

    async def forget(self, before: datetime) -> None:
        """Forget the operations that ended before this moment."""
        forgetting = delete(OPERATIONS).where(_COLUMNS.finished_at < before)

        async def forget(connection: AsyncConnection) -> None:
            await connection.execute(forgetting)

        await self._reader.read(forget)

    async def _change(
        self, tenant: Tenant, operation_id: str, states: Sequence[OperationState], values: dict[str, Any]
    ) -> StoredOperation | None:
        where = (*_place(tenant, operation_id), _COLUMNS.state.in_(states))
        changing = update(OPERATIONS).where(*where).values({**values, "updated_at": func.now()})
        return await self._one(changing.returning(OPERATIONS))

    async def _one(self, statement: Any) -> StoredOperation | None:
        async def run(connection: AsyncConnection) -> StoredOperation | None:
            row = (await connection.execute(statement)).one_or_none()
            return stored_operation(row) if row else None

        return await self._reader.read(run)

    async def _select(self, *where: Any, limit: int) -> list[StoredOperation]:
        query = select(OPERATIONS).where(*where).order_by(_COLUMNS.id.desc()).limit(limit)

        async def read(connection: AsyncConnection) -> list[StoredOperation]:
            return [stored_operation(row) for row in await connection.execute(query)]

        return await self._reader.read(read)


# The query of an erasure names a person as what it erases does. It is not needed any more once it has ended.
_WITHOUT_SUBJECT: dict[str, Any] = {
    "asked": case((_COLUMNS.kind == "erase", _COLUMNS.asked.op("-")("q")), else_=_COLUMNS.asked),
    "query": case((_COLUMNS.kind == "erase", null()), else_=_COLUMNS.query),
}


def _place(tenant: Tenant, operation_id: str) -> tuple[Any, Any]:
    return _COLUMNS.tenant == tenant, _COLUMNS.id == operation_id


def _moves(was: OperationState, step: Advance) -> dict[str, Any]:
    """Return the new state of an operation, unless a person has changed it during the step."""
    is_paused = _COLUMNS.state == OperationState.PAUSED.value
    is_as_it_was = _COLUMNS.state == was.value
    # One that was paused during its last step has nothing left to resume.
    may_move = or_(is_as_it_was, is_paused) if step.state in _ENDS else is_as_it_was
    moved: dict[str, Any] = {
        "state": case((may_move, step.state.value), else_=_COLUMNS.state),
        "detail": case((may_move, step.detail), else_=_COLUMNS.detail),
    }
    if step.state in _ENDS:
        moved["finished_at"] = case((may_move, func.now()), else_=_COLUMNS.finished_at)
        moved |= _WITHOUT_SUBJECT
    elif step.state is OperationState.PAUSED:
        moved["resumes_to"] = OperationState.RUNNING.value
    else:
        moved["resumes_to"] = case((is_paused, step.state.value), else_=_COLUMNS.resumes_to)
    return moved
