"""Responses to submissions of many jobs."""

from msgspec import Struct

from millstream_contracts.ids import JobId
from millstream_contracts.problem import Problem


class BatchItem(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The result of one submission of a batch."""

    index: int
    status: int
    id: JobId | None = None
    replayed: bool = False
    """True when an earlier request with this Idempotency-Key had already made the job."""
    unique_conflict: bool = False
    """True when nothing was stored, because the job of this id holds the unique key of the submission."""
    problem: Problem | None = None


class BatchReceipt(Struct, frozen=True):
    """The results of a batch, item by item, in the order of the request."""

    accepted: int
    rejected: int
    items: list[BatchItem]
