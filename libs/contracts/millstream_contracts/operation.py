"""Operations: one decision about many jobs, which is carried out page by page."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from millstream_contracts import limits
from millstream_contracts.ids import NAME_PATTERN
from millstream_contracts.job import Priority

AskedKind = Literal["redrive", "discard", "patch", "cancel", "run-now", "priority", "erase", "export"]
"""Kinds that are asked for as operations: they are about jobs."""

OperationKind = Literal[AskedKind, "delete-tenant"]
"""Every kind. The deletion of a tenant is asked for where tenants are managed."""

OF_OPEN_JOBS: frozenset[OperationKind] = frozenset({"cancel", "run-now", "priority"})
"""Kinds that are about jobs which have not settled."""

ExportFormat = Literal["csv", "jsonl", "parquet"]

MAX_EXPORTED_IDS = 2_000
"""An export is a job, whose payload has the ids."""


class OperationState(StrEnum):
    """Where an operation is."""

    PENDING = "pending"
    CANARY = "canary"
    """Its first jobs are under way."""
    WAITING = "waiting"
    """It waits for the end of its first jobs."""
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class OperationGroup(Struct, frozen=True, forbid_unknown_fields=True):
    """The dead jobs of a type that died in the same way."""

    type: Annotated[str, Meta(pattern=NAME_PATTERN)]
    fingerprint: Annotated[str, Meta(min_length=1, max_length=200)]


class Canary(Struct, frozen=True, forbid_unknown_fields=True):
    """A trial with the first jobs, which have to end well before the others follow."""

    count: Annotated[int, Meta(ge=1, le=1_000)] = 20
    max_failure: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.1
    """The largest share of them that may die again."""


class PayloadChange(Struct, frozen=True, kw_only=True):
    """One value by which a patched payload differs from the one before."""

    pointer: str
    """Where in the payload, as a JSON Pointer; empty for the payload as a whole."""
    kind: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None


class OperationSample(Struct, frozen=True):
    """What a patch would do to the payload of one job."""

    id: str
    changes: list[PayloadChange]


class OperationRefusal(Struct, frozen=True):
    """A job that an operation has left alone, and why."""

    id: str
    reason: str


class ExportOptions(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How an operation of the kind `export` writes the jobs."""

    format: ExportFormat = "jsonl"
    payloads: bool = False
    """Whether payload and result are written too."""
    name: Annotated[str, Meta(max_length=200)] = "export"
    """Start of the file's name."""


class OperationOptions(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which jobs an operation is about, those of `q`, of `ids`, or of `group`, and how it goes about them."""

    q: Annotated[str, Meta(max_length=1_000)] | None = None
    ids: Annotated[list[str], Meta(min_length=1, max_length=limits.MAX_BATCH_JOBS)] | None = None
    group: OperationGroup | None = None
    rate: Annotated[float, Meta(ge=0.01, le=10_000.0)] = 50.0
    """Jobs a second."""
    canary: Canary | None = None
    dry_run: bool = False
    """Count, and do nothing."""
    fresh: bool = False
    """Of the kinds `redrive` and `patch`: whether durable handlers begin anew, without their stored steps."""
    priority: Priority | None = None
    """Of the kind `priority`: the one that the jobs are given."""
    patch: dict[str, Any] | None = None
    """Of the kind `patch`: what changes in each payload, as a JSON Merge Patch (RFC 7396)."""
    export: ExportOptions | None = None
    """Of the kind `export`: how the jobs are written."""


class NewOperation(OperationOptions, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is to be done with which jobs."""

    kind: AskedKind


class BulkOperation(Struct, kw_only=True, frozen=True):
    """An operation as it is now."""

    id: str
    kind: OperationKind
    state: OperationState
    detail: str = ""
    """Why it is paused or has failed; of an export how far it is, and then where its file lies."""
    q: str | None = None
    group: OperationGroup | None = None
    jobs: int | None = None
    """How many ids it was given; None for a query or a group."""
    rate: float
    canary: Canary | None = None
    dry_run: bool = False
    fresh: bool = False
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    found: int = 0
    """Jobs that it has looked at."""
    done: int = 0
    refused: int = 0
    """Jobs that it has left alone; :attr:`refusals` says why."""
    failed: int = 0
    """Jobs of the canary that died again."""
    priority: Priority | None = None
    patch: dict[str, Any] | None = None
    export: ExportOptions | None = None
    job_id: str | None = None
    """Of an export: the job that writes it."""
    samples: list[OperationSample] = []
    """Of a dry run of a patch: what would change in the first jobs."""
    refusals: list[OperationRefusal] = []
    """The first jobs that were refused."""
    eta_s: float | None = None
    """How long it takes at this rate, where the number of jobs is known."""
    tenant: str | None = None
    """Of the kind `delete-tenant`: the tenant that is deleted."""
    removed: dict[str, int] = {}
    """Of the kind `delete-tenant`: how many of what it has removed, such as `jobs`, `schedules` and `history_rows`."""
