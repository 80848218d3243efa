"""A request with many jobs: as it came, as it is checked, and the receipt as it fills."""

from collections import Counter
from collections.abc import Sequence

import anyio
from msgspec import Raw, Struct
from msgspec.structs import replace

from millstream_contracts import BatchItem, BatchReceipt, Tenant, TypePolicy
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import BatchFormat
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.submission.idempotency import IdempotencyKey
from millstream_ingest.submission.single import outcome_of
from millstream_streams import Durability, EnqueueCode, Enqueued, Parents, StoreUnavailableError
from millstream_submission import BacklogFullError, Decoded, Membership
from millstream_telemetry import TraceContext

PATH = "/v1/jobs/batch"

MEMBER_CALLS = 3
"""How many loads of one request with members are stored at a time."""

_OK = 200
_ACCEPTED = 202
_UNAVAILABLE = 503


class BatchRequest(Struct, frozen=True):
    """A batch as it came."""

    tenant: Tenant
    parts: Sequence[bytes | Raw]
    format: BatchFormat
    caller: TraceContext
    key: IdempotencyKey | None = None
    strict: bool = False
    durability: Durability | None = None
    membership: Membership | None = None
    """The batch of which its jobs become members."""
    route: str = PATH
    types: Sequence[str] = ()
    """Patterns that the types of its jobs have to match, where there are any."""
    owner: str = ""
    """Who submits them."""

    def pointer(self, index: int) -> str:
        """Return the pointer to an item in the body."""
        return f"/{index}" if self.format.is_sequence else f"/jobs/{index}"


class Checked(Struct, frozen=True):
    """An item that may become a job."""

    index: int
    decoded: Decoded
    policy: TypePolicy
    parents: Parents | None = None
    behind: Sequence[TraceContext] = ()
    """The spans of the jobs that it waits for."""


class Draft:
    """The receipt as it fills."""

    def __init__(self, size: int) -> None:
        self.items: list[BatchItem | None] = [None] * size
        self.counts: Counter[tuple[str, str]] = Counter()
        """How many items of a job type had an outcome."""
        self.refusals: dict[int, IngestError] = {}
        self.failures: list[tuple[Exception, int]] = []
        """The reasons why valid items could not be stored, and the number of items for each."""
        self.turns = anyio.Semaphore(MEMBER_CALLS)
        """Those of loads with members of a batch."""

    def accept(self, job_type: str, stored: Sequence[tuple[int, Enqueued]]) -> None:
        """Note that items are stored, or that other jobs stand for them."""
        replays = holders = 0
        for index, enqueued in stored:
            replayed, is_holder = enqueued.code is EnqueueCode.REPLAYED, enqueued.code is EnqueueCode.RETURNED
            replays += replayed
            holders += is_holder
            status = _OK if is_holder else _ACCEPTED
            self.items[index] = BatchItem(
                index=index, status=status, id=enqueued.id, replayed=replayed, unique_conflict=is_holder
            )
        self.counts[job_type, "replayed"] += replays
        self.counts[job_type, "unique"] += holders
        self.counts[job_type, "accepted"] += len(stored) - replays - holders

    def refuse(self, index: int, job_type: str, refusal: IngestError) -> None:
        """Note why an item is not stored."""
        # Its traceback would hold what was decoded of the item, for as long as the batch takes.
        refusal.__traceback__ = refusal.__context__ = None
        self.items[index] = BatchItem(index=index, status=refusal.status, problem=refusal.problem())
        self.counts[job_type, outcome_of(refusal)] += 1
        self.refusals[index] = refusal

    def fail(self, indexes: Sequence[int], job_type: str, error: StoreUnavailableError | BacklogFullError) -> None:
        """Note that items of one job type could not be stored."""
        self.failures.append((error, len(indexes)))
        for index in indexes:
            self.refuse(index, job_type, refusal_of(error))

    def receipt(self) -> BatchReceipt:
        """Return the receipt once every item is noted.

        Raises: StoreUnavailableError, BacklogFullError, when Redis took none of them.
        """
        items = [item for item in self.items if item is not None]
        if self.failures and all(item.status == _UNAVAILABLE for item in items):
            raise self.failures[0][0]
        refused = len(self.refusals)
        return BatchReceipt(accepted=len(items) - refused, rejected=refused, items=items)


class CheckedBatch(Struct, frozen=True):
    """A batch whose items are checked."""

    request: BatchRequest
    items: list[Checked]
    """Those that may become jobs."""
    draft: Draft

    def as_members(self, membership: Membership) -> "CheckedBatch":
        """Return it with its jobs as members of a batch."""
        return replace(self, request=replace(self.request, membership=membership))
