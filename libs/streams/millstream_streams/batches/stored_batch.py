"""What Redis holds of a batch, as it is read; and what is to be done for one."""

from collections.abc import Mapping, Sequence
from enum import IntEnum

from msgspec import Struct

from millstream_contracts import BatchEvent, BatchId, BatchState, FiredBatch, JobId, MemberState
from millstream_streams.store.flow_values import CreateCode
from millstream_streams.store.specs import read_job_id

UNIT = 1 << 42
"""What the number of a state of a member is multiplied by in its score: see scripts/_batches.lua."""

RANKS = (
    MemberState.PENDING,  # promised
    MemberState.PENDING,
    MemberState.PENDING,  # asked to stop
    MemberState.DEAD,
    MemberState.CANCELLED,
    MemberState.EXPIRED,
    MemberState.SUCCEEDED,
)
"""The states of members by their numbers in scripts/_batches.lua."""

OPEN_RANKS = (1, 2)
"""Those of members whose jobs are stored and have not ended."""

COUNTED = (
    MemberState.PENDING,
    MemberState.DEAD,
    MemberState.CANCELLED,
    MemberState.EXPIRED,
    MemberState.SUCCEEDED,
)
"""The states in the order of the counts in scripts/_batches.lua."""


class PromiseCode(IntEnum):
    """What became of a promise. The numbers are those of scripts/batches/promise.lua."""

    DONE = 1
    CLOSED = -1
    """The batch takes no more members; and the member that adds, if there is one, has ended."""
    NOT_FOUND = -2
    FULL = -3
    """It would have more than `limits.MAX_BATCH_MEMBERS`."""


class BatchCreated(Struct, frozen=True):
    """The answer for a new batch."""

    id: BatchId
    code: CreateCode


class Promised(Struct, frozen=True):
    """The answer for promised members."""

    code: PromiseCode
    not_after_ms: int = 0
    """For how long their jobs may be stored, in ms from before the call; later they are not members."""


class StoredBatch(Struct, frozen=True, kw_only=True):
    """A batch. Times are Unix ms by the clock of Redis."""

    id: BatchId
    name: str
    state: BatchState
    counts: dict[MemberState, int]
    """Without states that no member is in."""
    callbacks: dict[BatchEvent, JobId]
    fired: frozenset[BatchEvent]
    """The events that have happened, of those with a callback."""
    refused: dict[BatchEvent, str]
    """Why no job could be made of a callback."""
    starting: frozenset[BatchEvent]
    """The events that have happened and whose jobs are not known to be stored yet."""
    unsettled: frozenset[BatchEvent]
    """The events whose jobs are stored and have not settled, as far as the batch knows."""
    is_closed: bool
    retention_ms: int
    created_at_ms: int
    expires_at_ms: int
    """When it closes itself, if it is open then."""
    finished_at_ms: int | None = None
    reason: str = ""
    """Why it was cancelled; `expired` when it has closed itself."""
    trace: str = ""
    """The traceparent of its `send` span; empty without one."""
    moved_at_ms: int = 0
    """When it last changed."""
    owner: str = ""
    """Who has submitted it; empty where that is not known."""

    @property
    def total(self) -> int:
        """Return how many members it has."""
        return sum(self.counts.values())


class Member(Struct, frozen=True):
    """A member of a batch."""

    job_id: JobId
    state: MemberState


class CallbackTask(Struct, frozen=True):
    """The job of a callback that is to be stored, under a lease."""

    entry: str
    """Its entry in the outbox, by which it is confirmed."""
    fired: FiredBatch
    job_id: JobId
    content: bytes
    trace: str
    owner: str = ""
    """Who has submitted the batch."""


class EndTask(Struct, frozen=True):
    """Members of a cancelled batch whose jobs are to be ended, under a lease."""

    entry: str
    job_ids: list[JobId]


class RecordTask(Struct, frozen=True):
    """A batch that has ended, which is to be recorded, under a lease."""

    entry: str
    batch: BatchId


BatchTask = CallbackTask | EndTask | RecordTask


class TakenBatchTasks(Struct, frozen=True):
    """What a shard has to be done."""

    next_in_ms: int | None
    tasks: list[BatchTask]
    unreadable: list[str]
    """The entries of what this release cannot read."""


class BatchCheck(Struct, frozen=True):
    """A batch that is to be looked at, under a lease."""

    id: BatchId
    still_ms: int
    """For how long nothing has changed."""
    run_out: list[tuple[JobId, int]]
    """Promised members whose promises have ended, each with when: Unix ms."""


def read_batch(batch_id: BatchId, fields: Mapping[bytes, bytes]) -> StoredBatch | None:
    """Return what a hash has; None when another program wrote it."""
    try:
        retention, *trace = fields[b"options"].decode().split(" ")
        finished = fields.get(b"finished_at")
        return StoredBatch(
            id=batch_id,
            name=fields[b"name"].decode(),
            state=BatchState(fields[b"state"].decode()),
            counts=read_counts(fields[b"counts"]),
            callbacks={event: JobId(one.decode()) for event, one in _of_events(fields, "job")},
            fired=frozenset(event for event, _ in _of_events(fields, "mark")),
            refused={event: one.decode() for event, one in _of_events(fields, "why")},
            starting=frozenset(event for event, mark in _of_events(fields, "mark") if mark[:1] == b"g"),
            unsettled=frozenset(event for event, mark in _of_events(fields, "mark") if mark[:1] == b"r"),
            is_closed=b"closed" in fields,
            retention_ms=int(retention),
            created_at_ms=int(fields[b"created_at"]),
            expires_at_ms=int(fields[b"closes_at"]),
            finished_at_ms=int(finished) if finished else None,
            reason=fields.get(b"reason", b"").decode(),
            trace="".join(trace),
            moved_at_ms=int(fields.get(b"turn", b"0")) // 1000,
            owner=fields.get(b"owner", b"").decode(),
        )
    except (KeyError, ValueError):
        return None


def _of_events(fields: Mapping[bytes, bytes], name: str) -> list[tuple[BatchEvent, bytes]]:
    found = [(event, fields.get(f"{name}:{event.value}".encode())) for event in BatchEvent]
    return [(event, value) for event, value in found if value is not None]


def read_counts(text: bytes) -> dict[MemberState, int]:
    """Return counts as scripts/_batches.lua writes them, without states that none is in. Raises: ValueError."""
    numbers = [int(one) for one in text.split()]
    return {state: number for state, number in zip(COUNTED, numbers, strict=True) if number}


def read_member(job_id: bytes, score: float) -> Member | None:
    """Return a member; None for what another program wrote."""
    rank = int(score) // UNIT
    if not 0 <= rank < len(RANKS):
        return None
    return Member(JobId(job_id.decode(errors="replace")), RANKS[rank])


def ranges_of(states: frozenset[MemberState] | None) -> list[tuple[int, int]]:
    """Return the ranges of scores in which members of these states are, ascending: from the first, up to the second."""
    ranks = [rank for rank, state in enumerate(RANKS) if states is None or state in states]
    ranges: list[tuple[int, int]] = []
    for rank in ranks:
        if ranges and ranges[-1][1] == rank * UNIT:
            ranges[-1] = (ranges[-1][0], (rank + 1) * UNIT)
        else:
            ranges.append((rank * UNIT, (rank + 1) * UNIT))
    return ranges


def read_task(entry: str, row: Sequence[bytes], jobs: bytes) -> BatchTask:
    """Return what is to be done. Raises: ValueError, when this release cannot read it."""
    kind, batch_id, *event = entry.split(" ")
    if kind == "x":
        return EndTask(entry, [read_job_id(one) for one in jobs.split(b",")])
    if kind == "e":
        return RecordTask(entry, BatchId(batch_id))
    name, trace, job_id, content, counts, owner = row
    fired = FiredBatch(
        id=BatchId(batch_id), name=name.decode(), event=BatchEvent("".join(event)), counts=read_counts(counts)
    )
    if kind != "s" or not job_id or not content:
        raise ValueError("no callback")
    submitted_by, within = owner.decode(errors="replace"), trace.decode(errors="replace")
    return CallbackTask(entry, fired, read_job_id(job_id), content, within, submitted_by)


def read_check(batch_id: bytes, still_ms: bytes, pairs: Sequence[bytes]) -> BatchCheck:
    """Return a batch that is to be looked at."""
    run_out = [(JobId(job_id.decode(errors="replace")), int(float(at))) for job_id, at in _pairs(pairs)]
    return BatchCheck(BatchId(batch_id.decode(errors="replace")), int(still_ms), run_out)


def _pairs(values: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    taken = iter(values)
    return list(zip(taken, taken, strict=True))
