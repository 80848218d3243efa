"""Makes operations on many jobs, which the dispatchers carry out, and steers them."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from millstream_contracts import (
    MAX_EXPORTED_IDS,
    OF_OPEN_JOBS,
    BulkOperation,
    FieldError,
    JobId,
    NewOperation,
    Tenant,
    ms_of,
    queue_of,
)
from millstream_history import DELETE_TENANT, History, StoredOperation
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST, NOT_FOUND, WRONG_STATE
from millstream_streams import Broker
from millstream_submission import value_fault

_TRIED = frozenset({"redrive", "patch"})
"""Kinds of operations that run jobs again: they may have a canary, and be fresh."""

_ONE_OF = FieldError("", "expected one of `q`, `ids` and `group`")
_NO_CANARY = FieldError("/canary", "only what runs jobs again can be tried out: `redrive` and `patch`")
_NOT_FRESH = FieldError("/fresh", "only what runs jobs again can have them begin anew: `redrive` and `patch`")
_EVERY_JOB = FieldError("/q", "is empty, which means every job: this kind needs a search that says which")
_ALL_DEAD = FieldError("/group", "the jobs of a group are dead, and this kind is about jobs that have not settled")
_NO_EXPORT = FieldError("/export", "belongs to operations of the kind `export` alone")
_NO_DRY_EXPORT = FieldError("/dry_run", "an export changes nothing: a search with `count=1` counts its jobs")
_TOO_MANY_IDS = FieldError("/ids", f"an export takes {MAX_EXPORTED_IDS:,} ids at most: use a search for more")
_PRIORITY_MISSING = FieldError("/priority", "missing: an operation of the kind `priority` needs one")
_NO_PRIORITY = FieldError("/priority", "belongs to operations of the kind `priority` alone")
_PATCH_MISSING = FieldError("/patch", "missing: an operation of the kind `patch` needs one")
_NO_PATCH = FieldError("/patch", "belongs to operations of the kind `patch` alone")


class BulkOperations:
    """The operations of one history. Every method may raise HistoryError."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def add(self, history: History, tenant: Tenant, asked: NewOperation) -> BulkOperation:
        """Store an operation. Raises: IngestError (422), QueryError, StoreUnavailableError."""
        if faults := list(_faults(asked)):
            raise IngestError(INVALID_REQUEST, errors=faults)
        # By the clock by which jobs die.
        now = await self._broker.now()
        query = history.operations.frozen_query(tenant, asked, now)
        made = await history.operations.add(tenant, new_operation_id(now), asked, query, ms_of(now))
        return made.shown

    async def find(self, history: History, tenant: Tenant, operation_id: str) -> BulkOperation:
        """Return an operation. Raises: IngestError (404)."""
        return (await self._found(history, tenant, operation_id)).shown

    async def steer(self, history: History, tenant: Tenant, operation_id: str, verb: str) -> BulkOperation:
        """Pause, resume or cancel an operation. Raises: IngestError (404, 409)."""
        steer = {
            "pause": history.operations.pause,
            "resume": history.operations.resume,
            "cancel": history.operations.cancel,
        }[verb]
        kind = (await self._found(history, tenant, operation_id)).shown.kind
        if kind == DELETE_TENANT:
            raise IngestError(WRONG_STATE, f"the deletion of a tenant goes on to its end: there is nothing to {verb}")
        if verb == "pause" and kind == "export":
            raise IngestError(WRONG_STATE, "an export is one job, which cannot be paused: cancel it")
        changed = await steer(tenant, operation_id)
        if changed is None:
            found = await self._found(history, tenant, operation_id)
            raise IngestError(WRONG_STATE, f"the operation is {found.shown.state}: there is nothing to {verb}")
        if verb == "cancel":
            await self._cancel_job(tenant, changed.shown)
        return changed.shown

    async def _cancel_job(self, tenant: Tenant, operation: BulkOperation) -> None:
        job_id = JobId(operation.job_id or "")
        if queue := queue_of(tenant, job_id):
            await self._broker.store.cancel(queue, [job_id])

    @staticmethod
    async def _found(history: History, tenant: Tenant, operation_id: str) -> StoredOperation:
        found = await history.operations.find(tenant, operation_id)
        if found is None:
            raise IngestError(NOT_FOUND, "there is no such operation")
        return found


def _faults(asked: NewOperation) -> Iterator[FieldError]:
    """Yield what does not fit together in an operation."""
    yield from _faults_of_choice(asked)
    if asked.canary is not None and asked.kind not in _TRIED:
        yield _NO_CANARY
    if asked.fresh and asked.kind not in _TRIED:
        yield _NOT_FRESH
    if asked.kind == "export":
        yield from _export_faults(asked)
    elif asked.export is not None:
        yield _NO_EXPORT
    if (asked.priority is not None) is not (asked.kind == "priority"):
        yield _PRIORITY_MISSING if asked.priority is None else _NO_PRIORITY
    if asked.kind == "patch":
        fault = _PATCH_MISSING if asked.patch is None else value_fault(asked.patch, "/patch")
    else:
        fault = None if asked.patch is None else _NO_PATCH
    if fault:
        yield fault


def _faults_of_choice(asked: NewOperation) -> Iterator[FieldError]:
    """Yield what is wrong with the jobs that are chosen."""
    if sum(chosen is not None for chosen in (asked.q, asked.ids, asked.group)) != 1:
        yield _ONE_OF
    if asked.kind in {"erase", *OF_OPEN_JOBS} and asked.q is not None and not asked.q.strip():
        yield _EVERY_JOB
    if asked.kind in OF_OPEN_JOBS and asked.group is not None:
        yield _ALL_DEAD


def _export_faults(asked: NewOperation) -> Iterator[FieldError]:
    if asked.dry_run:
        yield _NO_DRY_EXPORT
    if asked.ids is not None and len(asked.ids) > MAX_EXPORTED_IDS:
        yield _TOO_MANY_IDS


def new_operation_id(now: datetime) -> str:
    """Return an id that sorts by its time."""
    return f"op_{now.astimezone(UTC):%Y%m%d%H%M%S%f}{secrets.token_hex(4)}"
