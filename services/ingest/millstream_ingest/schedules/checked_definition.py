"""Checks the definition of a schedule: its rules, and its job by the rules of every submission."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import (
    SCHEDULE_TAG,
    SCHEDULED_FOR_TAG,
    FieldError,
    ScheduleDefinition,
    Submission,
    limits,
    rules_of,
)
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST
from millstream_schedules import ScheduleError, Timing, timing_of
from millstream_submission import Decoded

OWN_TAGS = (SCHEDULE_TAG, SCHEDULED_FOR_TAG)
"""The tags that an occasion gives its job."""

_TIMES = ("run_at", "delay_s", "expires_at")
_encode = msgspec.msgpack.Encoder().encode


class CheckedDefinition(Struct, frozen=True):
    """A definition that keeps its rules."""

    definition: ScheduleDefinition
    rules: bytes
    """In MessagePack."""
    timing: Timing
    job: Decoded

    @property
    def submission(self) -> bytes:
        """Return the submission of its jobs in MessagePack."""
        return _encode(replace(self.job.submission, payload=msgspec.Raw(self.job.payload)))


def checked(name: str, definition: ScheduleDefinition, job: Decoded) -> CheckedDefinition:
    """Return a definition with its job. Raises: IngestError (422)."""
    rules = rules_of(definition)
    try:
        timing = timing_of(rules, name)
    except ScheduleError as error:
        raise IngestError(INVALID_REQUEST, errors=[FieldError(f"/{error.field}", error.detail)]) from None
    if faults := list(_job_faults(job.submission)):
        raise IngestError(INVALID_REQUEST, errors=faults)
    return CheckedDefinition(definition, _encode(rules), timing, job)


def never_due(definition: ScheduleDefinition) -> IngestError:
    """Return the refusal of a schedule that has no occasion to come."""
    field = next(one for one in ("cron", "every_s", "at") if getattr(definition, one) is not None)
    detail = "is past" if field == "at" else "is never due"
    return IngestError(INVALID_REQUEST, errors=[FieldError(f"/{field}", detail)])


def _job_faults(submission: Submission) -> Iterator[FieldError]:
    for field in _TIMES:
        if getattr(submission, field) is not None:
            yield FieldError(f"/job/{field}", "the occasion says when the job runs; `expires_in_s` counts from then")
    if submission.after is not None:
        yield FieldError("/job/after", "the job of an occasion waits for no other: those that are there now end once")
    tags = submission.tags or {}
    for tag in OWN_TAGS:
        if tag in tags:
            yield FieldError(f"/job/tags/{tag}", "is a tag that the schedule sets")
    if len(tags) > limits.MAX_TAGS - len(OWN_TAGS):
        yield FieldError("/job/tags", f"at most {limits.MAX_TAGS - len(OWN_TAGS)}, for the schedule sets two more")
