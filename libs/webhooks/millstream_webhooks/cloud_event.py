"""Writes events of jobs as CloudEvents in the structured form, the body of a call.

Source: CloudEvents 1.0.2, "JSON Event Format".
"""

from datetime import datetime
from typing import Any

import msgspec

from millstream_contracts import Job

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
EVENT_PREFIX = "millstream.job."
"""Before the word of the event, such as `dead`, in the type of a CloudEvent."""

_MAX_WHOLE_BYTES = 200 << 10
"""The largest payload or result in a body: a call is a job itself, whose payload has a limit."""


def cloud_event(event_id: str, word: str, at: datetime, source: str, job: Job, *, whole: bool) -> dict[str, Any]:
    """Return the event of one job. `whole` keeps its payload and result, unless they are too large together."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": EVENT_PREFIX + word,
        "subject": job.id,
        "time": at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": _data(job, whole=whole),
    }


def _data(job: Job, *, whole: bool) -> dict[str, Any]:
    data = {name: value for name, value in msgspec.to_builtins(job).items() if value is not None}
    if data.get("error"):
        # Where it broke is for those who may read the job.
        data["error"] = {name: data["error"].get(name) for name in ("type", "message", "fingerprint")}
    if job.encrypted:
        _leave_out(data)
    if not whole or _size(data.get("payload")) + _size(data.get("result")) > _MAX_WHOLE_BYTES:
        data.pop("payload", None)
        data.pop("result", None)
    return data


def _leave_out(data: dict[str, Any]) -> None:
    """Leave out what is stored encrypted: it would be stored as it is with the call."""
    for name in ("payload", "result", "progress"):
        data.pop(name, None)
    if data.get("error"):
        data["error"]["message"] = ""


def _size(value: Any) -> int:
    return len(msgspec.msgpack.encode(value))
