"""Jobs as rows of a table: plain cells, the same columns for all."""

from typing import Any

import msgspec

from millstream_contracts import Job

COLUMNS = (
    "id", "type", "state", "priority", "attempts", "crashes", "created_at", "started_at", "finished_at", "worker",
    "reason", "error_type", "error_message", "fingerprint", "tags", "trace_id",
)  # fmt: skip
PAYLOAD_COLUMNS = ("payload", "result")

Cell = str | int | None


def row_of(job: Job, *, with_payloads: bool) -> list[Cell]:
    """Return the cells of a job, in the order of the columns. Times are RFC 3339; nested values are JSON."""
    error = job.error
    cells: list[Cell] = [
        job.id,
        job.type,
        job.state.value,
        job.priority.value,
        job.attempts,
        job.crashes,
        *(None if at is None else at.isoformat() for at in (job.created_at, job.started_at, job.finished_at)),
        job.worker,
        job.reason,
        error.type if error else None,
        error.message if error else None,
        error.fingerprint if error else None,
        _json(job.tags),
        job.trace_id,
    ]
    return [*cells, _json(job.payload), _json(job.result)] if with_payloads else cells


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
