"""The fields of the query language, each with the column that it is about."""

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct


class FieldKind(Enum):
    """How the values of a field are read and compared."""

    ID = "id"
    TYPE = "type"
    STATE = "state"
    PRIORITY = "priority"
    HAS = "has"
    KEY = "key"
    """Text that is compared as a whole, or by its beginning."""
    NAME = "name"
    """Text that is compared as a whole, or by a pattern."""
    ERROR_TYPE = "error type"
    TEXT = "text"
    """Text in which a part is looked for, in any case."""
    NUMBER = "number"
    DURATION = "duration"
    TIME = "time"
    SINCE = "since"
    UNTIL = "until"
    TAG = "tag"
    JSON = "json"


class Field(Struct, frozen=True):
    """One field."""

    name: str
    kind: FieldKind
    column: str
    """The column of `jobs`, or an expression over one; empty for a field that is none."""
    meaning: str
    example: str

    @property
    def has_path(self) -> bool:
        """Whether keys follow its name."""
        return self.kind in {FieldKind.TAG, FieldKind.JSON}


_ALL = (
    Field("id", FieldKind.ID, "id", "id of the job", "id:email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"),
    Field("type", FieldKind.TYPE, "type", "job type, or a pattern", "type:email.*"),
    Field("state", FieldKind.STATE, "state", "state of the job", "state:dead,expired"),
    Field("priority", FieldKind.PRIORITY, "priority", "high, normal or low", "priority:high"),
    Field("worker", FieldKind.NAME, "worker", "worker that ran it last", "worker:web-7*"),
    Field("error", FieldKind.TEXT, "error_text", "text in type or message of the last error", 'error:"no route"'),
    Field("error.type", FieldKind.ERROR_TYPE, "error->>'type'", "type of the last error", "error.type:TimeoutError"),
    Field("fingerprint", FieldKind.KEY, "fingerprint", "fingerprint of the last error", "fingerprint:5f1c2d"),
    Field("reason", FieldKind.TEXT, "reason", "text in why it is dead or cancelled", "reason:attempts"),
    Field("trace", FieldKind.KEY, "trace_id", "trace id", "trace:4bf92f3577b34da6a3ce929d0e0e4736"),
    Field(
        "workflow",
        FieldKind.KEY,
        "workflow_id",
        "workflow that it belongs to",
        "workflow:WF_0001J00000000000000000000000",
    ),
    Field(
        "batch",
        FieldKind.KEY,
        "workflow_id",
        "batch that it belongs to",
        "batch:BA_0001J00000000000000000000000",
    ),
    Field("submitted_by", FieldKind.NAME, "submitted_by", "key or subject that submitted it", "submitted_by:7Kq2vXbA"),
    Field("attempts", FieldKind.NUMBER, "attempts", "attempts that counted", "attempts:>2"),
    Field("crashes", FieldKind.NUMBER, "crashes", "deliveries whose worker vanished", "crashes:>=1"),
    Field("run", FieldKind.DURATION, "ran_ms", "length of the last attempt", "run:>5s"),
    Field("wait", FieldKind.DURATION, "waited_ms", "wait before the last attempt", "wait:1m..5m"),
    Field("created", FieldKind.TIME, "created_at", "when it was submitted", "created:2026-11-01..2026-11-07"),
    Field("started", FieldKind.TIME, "started_at", "when the last attempt began", "started:today"),
    Field("finished", FieldKind.TIME, "finished_at", "when it ended", "finished:>2026-11-26T12:00Z"),
    Field("run_at", FieldKind.TIME, "run_at", "when it was or is due", "run_at:<=1h"),
    Field("since", FieldKind.SINCE, "created_at", "submitted at this time or later", "since:1h"),
    Field("until", FieldKind.UNTIL, "created_at", "submitted before the end of this time", "until:yesterday"),
    Field("has", FieldKind.HAS, "", "has an error, a result, tags, a workflow or a batch", "has:error"),
    Field("tag", FieldKind.TAG, "tags", "a tag", "tag.customer:acme"),
    Field("payload", FieldKind.JSON, "payload", "a value in the payload", "payload.user.id:42"),
    Field("result", FieldKind.JSON, "result", "a value in the result", "result.ref:ab*"),
)

FIELDS: Mapping[str, Field] = {field.name: field for field in _ALL}

ALIASES: Mapping[str, str] = {
    "status": "state",
    "queue": "type",
    "task": "type",
    "args": "payload",
    "data": "payload",
    "tags": "tag",
}
"""What other systems call a field."""

HAS: Mapping[str, str] = {
    "error": "error_text IS NOT NULL",
    "result": "result IS NOT NULL",
    "tags": "tags IS NOT NULL",
    "workflow": "(workflow_id IS NOT NULL AND NOT starts_with(workflow_id, 'BA_'))",
    "batch": "(workflow_id IS NOT NULL AND starts_with(workflow_id, 'BA_'))",
}
"""The values of `has`, each with its condition."""
