"""A batch to make, and how it is written for the API."""

from typing import Any

import msgspec

from millstream.jobs.job_ref import JobRef
from millstream.jobs.new_job import NewJob
from millstream.seconds import Seconds, in_seconds

CallbackJob = NewJob | JobRef[None, Any] | str
"""The job that a batch runs for an event: a handler, a contract or a type without a payload, or a `NewJob`."""


def batch_fields(
    name: str,
    *,
    on_success: CallbackJob | None,
    on_complete: CallbackJob | None,
    on_death: CallbackJob | None,
    expires_in: Seconds | None,
    retention: Seconds | None,
) -> dict[str, Any]:
    """Return a batch without its jobs. Raises: TypeError, for a callback that is no job."""
    callbacks = {"on_success": on_success, "on_complete": on_complete, "on_death": on_death}
    fields = {event: _content_of(event, job) for event, job in callbacks.items() if job is not None}
    times = {"expires_in_s": in_seconds(expires_in), "retention_s": in_seconds(retention)}
    return {"name": name, **fields, **{field: value for field, value in times.items() if value is not None}}


def _content_of(event: str, job: CallbackJob) -> msgspec.Raw:
    if isinstance(job, NewJob):
        return msgspec.Raw(job.content)
    if isinstance(job, JobRef | str):
        return msgspec.Raw(NewJob(job).content)
    raise TypeError(f"`{event}` takes a handler, a contract, a job type or a `NewJob`, not {type(job).__name__}")
