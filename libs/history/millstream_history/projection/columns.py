"""The columns of the tables, each with how its value is written and read: one list for both directions.

Handlers and clients may write values that PostgreSQL cannot hold. These are made to fit, because one such job must not
stop the others.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from millstream_contracts import (
    BATCH_PREFIX,
    NO_TIME,
    Job,
    JobError,
    KeptLines,
    Priority,
    Queue,
    fired_batch,
    made_at,
    occasion_of,
    read_state,
)

Row = tuple[Any, ...]

_PRIORITIES = {priority.value: priority for priority in Priority}
_NUL, _UNKNOWN = "\0", "\ufffd"
"""PostgreSQL stores every character but one; in its place stands the one that Unicode has for that."""


class Transition(Struct, frozen=True):
    """One transition of a job, as the table `transitions` has it. Its fields are the columns."""

    tenant: str
    job_id: str
    version: int
    kind: str
    """One of `EventKind`, or a word of a newer release; the same holds for `state`."""
    state: str
    at: datetime
    deliveries: int
    worker: str | None = None
    detail: str | None = None
    """The reason of a death or a cancellation."""
    error: JobError | None = None
    """Why the attempt failed that the transition ends."""
    created_at: datetime = NO_TIME
    """The creation time of the job, by which both tables are partitioned."""
    attempt: int | None = None
    """The number of the attempt that the transition begins or ends."""
    waited_ms: int | None = None
    ran_ms: int | None = None
    log_lines: KeptLines | None = None
    """What its handler has logged last in the attempt that the transition ends; None also where that was not read."""


class StoredJob(Struct, frozen=True):
    """A job and its queue, as the table `jobs` has it."""

    queue: Queue
    job: Job


class Derived(Struct, frozen=True):
    """Columns of `jobs` that follow from the job, for searches and statistics."""

    created_at: datetime
    outcome: str | None = None
    """Its state when it ended without success; None for all others, which keeps the indexes of it small."""
    fingerprint: str | None = None
    """What equal failures have in common."""
    error_text: str | None = None
    """`type: message` of its error, bounded."""
    waited_ms: int | None = None
    """How long it was ready before its last delivery."""
    ran_ms: int | None = None
    """How long its last delivery took."""
    payload_bytes: int | None = None
    flow_id: str | None = None
    """Its workflow, or its batch: no job belongs to both."""
    rerun_of: str | None = None


class ForgottenJob(Struct, frozen=True):
    """A job that Redis has deleted, as its last event shows it. Its fields are columns of `jobs`."""

    tenant: str
    id: str
    type: str
    partition: int
    state: str
    """Also a word of a newer release."""
    version: int
    deliveries: int
    created_at: datetime
    finished_at: datetime | None
    reason: str | None
    error: JobError | None = None
    outcome: str | None = None
    fingerprint: str | None = None
    error_text: str | None = None
    waited_ms: int | None = None
    ran_ms: int | None = None


class Column(Struct, frozen=True):
    """One column: the source of its value, and its conversion in both directions."""

    name: str
    source: str
    """A record that makes up the row and its field, with a dot between them."""
    write: Callable[[Any], Any] | None = None
    """Makes a value, but never None, one that PostgreSQL takes; None where every value is."""
    read: Callable[[Any], Any] | None = None
    """Makes the value what it was, from what the table holds, but never from NULL; None where it is the same."""
    size_of: str | None = None
    """The column of a text whose bytes it counts, in place of a value of its own."""


def write_text(text: str) -> str:
    """Return a text without NUL."""
    return text.replace(_NUL, _UNKNOWN) if _NUL in text else text


def write_json(value: Any) -> str | None:
    """Return a value as JSON; None for a value that JSON cannot express."""
    try:
        encoded = msgspec.json.encode(value)
        if rb"\u0000" in encoded:
            encoded = msgspec.json.encode(_without_nul(msgspec.to_builtins(value)))
    except (TypeError, ValueError, RecursionError):
        return None
    return encoded.decode()


def _write_int(bits: int) -> Callable[[int], int]:
    """Return a function that clips a number to the range of its column."""
    largest: int = 2 ** (bits - 1) - 1
    smallest = -largest - 1

    def write(number: int) -> int:
        return number if smallest <= number <= largest else largest if number > 0 else smallest

    return write


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return write_text(value)
        case list():
            return [_without_nul(item) for item in value]
        case dict():
            return {_without_nul(key): _without_nul(item) for key, item in value.items()}
        case _:
            return value


def _read_priority(word: str) -> Priority:
    return _PRIORITIES.get(word, Priority.NORMAL)


def _read_error(value: Any) -> JobError:
    return msgspec.convert(value, JobError)


def _read_lines(value: Any) -> KeptLines:
    return msgspec.convert(value, KeptLines)


JOB_COLUMNS = (
    Column("tenant", "queue.tenant"),
    Column("id", "job.id"),
    Column("type", "queue.type"),
    Column("partition", "queue.partition", _write_int(16)),
    Column("state", "job.state", None, read_state),
    Column("version", "job.version", _write_int(64)),
    Column("priority", "job.priority", None, _read_priority),
    Column("attempts", "job.attempts", _write_int(32)),
    Column("max_attempts", "job.max_attempts", _write_int(32)),
    Column("deliveries", "job.deliveries", _write_int(64)),
    Column("crashes", "job.crashes", _write_int(32)),
    Column("handbacks", "job.handbacks", _write_int(64)),
    Column("created_at", "derived.created_at"),
    Column("run_at", "job.run_at"),
    Column("expires_at", "job.expires_at"),
    Column("started_at", "job.started_at"),
    Column("finished_at", "job.finished_at"),
    Column("worker", "job.worker", write_text),
    Column("payload", "job.payload", write_json),
    Column("result", "job.result", write_json),
    Column("error", "job.error", write_json, _read_error),
    Column("reason", "job.reason", write_text),
    Column("tags", "job.tags", write_json),
    Column("timeout_s", "job.timeout_s"),
    Column("trace_id", "job.trace_id", write_text),
    Column("outcome", "derived.outcome"),
    Column("fingerprint", "derived.fingerprint", write_text),
    Column("error_text", "derived.error_text", write_text),
    # What a job belongs to: an id says by how it begins whether that is a workflow or a batch.
    Column("workflow_id", "derived.flow_id", write_text),
    Column("waited_ms", "derived.waited_ms", _write_int(64)),
    Column("ran_ms", "derived.ran_ms", _write_int(64)),
    Column("payload_bytes", "derived.payload_bytes", size_of="payload"),
    Column("rerun_of", "derived.rerun_of"),
    Column("after", "job.after", write_json),
    Column("after_failure", "job.after_failure"),
    Column("because_of", "job.because_of"),
    Column("submitted_by", "job.submitted_by", write_text),
)
"""The table `jobs`."""

UNCHANGING = frozenset({"payload", "tags", "after"})
"""Columns of values that may be large and hardly ever change: an equal one is kept, for a large value stands beside the
row, and another would be written with each transition."""

KEPT = frozenset({"waited_ms", "ran_ms", "error", "fingerprint", "error_text"})
"""Columns that keep what they hold where a row has no value for them."""

LIVE_FIELDS = frozenset(
    {"cancel_requested", "progress", "source", "fresh", "schedule", "scheduled_for", "waiting_for"}
    | {"key", "unique"}
    | {"workflow", "batch", "batch_event", "encrypted"}
)
"""Fields of a job that have no column of their own: they are known only while it lives in Redis, or follow from its
tags, or from what it belongs to."""

FORGOTTEN_COLUMNS = tuple(
    Column(column.name, f"job.{column.name}", column.write)
    for column in JOB_COLUMNS
    if column.name in ForgottenJob.__struct_fields__
)
"""The columns of `jobs` that a forgotten job has a value for; the others keep what they hold."""

TRANSITION_COLUMNS = (
    Column("tenant", "step.tenant"),
    Column("job_id", "step.job_id"),
    Column("version", "step.version"),
    Column("kind", "step.kind"),
    Column("state", "step.state"),
    Column("at", "step.at"),
    Column("deliveries", "step.deliveries"),
    Column("worker", "step.worker"),
    Column("detail", "step.detail", write_text),
    Column("error", "step.error", write_json, _read_error),
    Column("created_at", "step.created_at"),
    Column("attempt", "step.attempt", _write_int(32)),
    Column("waited_ms", "step.waited_ms", _write_int(64)),
    Column("ran_ms", "step.ran_ms", _write_int(64)),
    Column("log_lines", "step.log_lines", write_json, _read_lines),
)
"""The table `transitions`."""


class RowFormat:
    """Turns records into rows, and rows into the values of records, by a list of columns."""

    def __init__(self, columns: Sequence[Column], **records: type[Struct]) -> None:
        """Take the columns, and by the names of their sources the Structs that make up a row."""
        self.names = tuple(column.name for column in columns)
        self._columns = columns
        fields = [f"{name}.{field}" for name, kind in records.items() for field in kind.__struct_fields__]
        sources = [column.source for column in columns]
        # All values at once, in C: only some of them need a call of their own.
        self._pick = itemgetter(*map(fields.index, sources))
        self._is_one_record = fields == sources
        self._writers = [(place, column.write) for place, column in enumerate(columns) if column.write]
        self._sizes = [
            (place, self.names.index(column.size_of)) for place, column in enumerate(columns) if column.size_of
        ]

    def row(self, *records: Struct) -> Row:
        """Return the row of these records, in the order of `names`."""
        if self._is_one_record:
            values: list[Any] = list(astuple(records[0]))
        else:
            values = list(self._pick(tuple(chain.from_iterable(map(astuple, records)))))
        for place, write in self._writers:
            if (value := values[place]) is not None:
                values[place] = write(value)
        for place, measured in self._sizes:
            values[place] = _size_of(values[measured])
        return tuple(values)

    def values(self, record: str, row: Sequence[Any]) -> dict[str, Any]:
        """Return the fields of one record that are not NULL in a row."""
        head = f"{record}."
        return {
            column.source.removeprefix(head): column.read(value) if column.read else value
            for column, value in zip(self._columns, row, strict=True)
            if value is not None and column.source.startswith(head)
        }


def blank(row: Row, names: Sequence[str], columns: Collection[str]) -> Row:
    """Return a row without values in some of its columns."""
    return tuple(None if name in columns else value for name, value in zip(names, row, strict=True))


def _size_of(text: str | None) -> int | None:
    return None if text is None else len(text) if text.isascii() else len(text.encode())


JOB_ROWS = RowFormat(JOB_COLUMNS, queue=Queue, job=Job, derived=Derived)
FORGOTTEN_ROWS = RowFormat(FORGOTTEN_COLUMNS, job=ForgottenJob)
TRANSITION_ROWS = RowFormat(TRANSITION_COLUMNS, step=Transition)
SHORT_TRANSITION_ROWS = RowFormat(
    [column for column in TRANSITION_COLUMNS if column.name != "log_lines"], step=Transition
)
"""Rows that are read without log lines, which are large and seldom asked for."""


def stored_job(row: Sequence[Any]) -> StoredJob:
    """Return the job of a row of `jobs`. A field for which the row has no value has the default of the Struct."""
    queue, fields = Queue(**JOB_ROWS.values("queue", row)), JOB_ROWS.values("job", row)
    tags, flow = fields.get("tags"), JOB_ROWS.values("derived", row).get("flow_id")
    is_batch = flow is not None and flow.startswith(BATCH_PREFIX)
    schedule, scheduled_for = occasion_of(tags)
    fired = fired_batch(tags)
    made_of_others = {
        "schedule": schedule,
        "scheduled_for": scheduled_for,
        "workflow": None if is_batch else flow,
        "batch": flow if is_batch else None,
        "batch_event": fired.event.value if fired and fired.id == flow else None,
    }
    return StoredJob(queue, Job(type=queue.type, created_at=made_at(fields["id"]), **{**fields, **made_of_others}))


def stored_transition(row: Sequence[Any], rows: RowFormat = TRANSITION_ROWS) -> Transition:
    """Return the transition of a row of `transitions` in one of the formats for it."""
    return Transition(**rows.values("step", row))
