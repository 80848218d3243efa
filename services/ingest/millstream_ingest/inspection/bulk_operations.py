"""Makes operations on many jobs, which the dispatchers carry out, and steers them."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from millstream_contracts import BulkOperation, FieldError, NewOperation, Tenant
from millstream_history import History, StoredOperation
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST, NOT_FOUND, WRONG_STATE
from millstream_streams import Broker
from millstream_submission import value_fault

_TRIED = frozenset({"redrive", "patch"})
"""Kinds of operations that may have a canary."""

_ONE_OF = FieldError("", "expected one of `q`, `ids` and `group`")
_NO_CANARY = FieldError("/canary", "only what runs jobs again can be tried out: `redrive` and `patch`")
_EVERY_JOB = FieldError("/q", "is empty, which means every job: `erase` and `cancel` need a search that says which")
_ALL_DEAD = FieldError("/group", "the jobs of a group are dead: there is nothing to cancel, and `discard` ends them")
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
        made = await history.operations.add(tenant, _new_id(now), asked, query, round(now.timestamp() * 1000))
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
        changed = await steer(tenant, operation_id)
        if changed is None:
            found = await self._found(history, tenant, operation_id)
            raise IngestError(WRONG_STATE, f"the operation is {found.shown.state}: there is nothing to {verb}")
        return changed.shown

    @staticmethod
    async def _found(history: History, tenant: Tenant, operation_id: str) -> StoredOperation:
        found = await history.operations.find(tenant, operation_id)
        if found is None:
            raise IngestError(NOT_FOUND, "there is no such operation")
        return found


def _faults(asked: NewOperation) -> Iterator[FieldError]:
    """Yield what does not fit together in an operation."""
    if sum(chosen is not None for chosen in (asked.q, asked.ids, asked.group)) != 1:
        yield _ONE_OF
    if asked.kind in {"erase", "cancel"} and asked.q is not None and not asked.q.strip():
        yield _EVERY_JOB
    if asked.kind == "cancel" and asked.group is not None:
        yield _ALL_DEAD
    if asked.canary is not None and asked.kind not in _TRIED:
        yield _NO_CANARY
    if asked.patch is not None and asked.kind != "patch":
        yield _NO_PATCH
    elif asked.patch is None and asked.kind == "patch":
        yield _PATCH_MISSING
    elif asked.patch is not None and (fault := value_fault(asked.patch, "/patch")):
        yield fault


def _new_id(now: datetime) -> str:
    """Return an id that sorts by its time."""
    return f"op_{now.astimezone(UTC):%Y%m%d%H%M%S%f}{secrets.token_hex(4)}"
