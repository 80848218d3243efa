"""A job to submit, and how it is encoded for the API."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, Unpack, overload

import msgspec

from millstream.jobs.job_ref import JobRef
from millstream.jobs.submit_options import SubmitOptions, check_submit_options, parent_ids
from millstream.payloads import plain_payload
from millstream.seconds import in_seconds
from millstream.unique import asked_of
from millstream_contracts import limits

P = TypeVar("P")


_FIELDS = {"delay": "delay_s", "expires_in": "expires_in_s", "timeout": "timeout_s"}
"""Fields of the API whose names differ from the options: they end with the unit."""


class NewJob:
    """A job to submit. Raises: TypeError, when an option is unknown or the payload cannot be encoded."""

    __slots__ = ("content", "type")

    @overload
    def __init__(self, job: JobRef[None, Any], payload: None = None, **options: Unpack[SubmitOptions]) -> None: ...

    @overload
    def __init__(self, job: JobRef[P, Any], payload: P, **options: Unpack[SubmitOptions]) -> None: ...

    @overload
    def __init__(self, job: str, payload: Any = None, **options: Unpack[SubmitOptions]) -> None: ...

    def __init__(self, job: Any, payload: Any = None, **options: Unpack[SubmitOptions]) -> None:
        check_submit_options(options)
        self.type: str = job.type if isinstance(job, JobRef) else job
        fields = {_FIELDS.get(name, name): in_seconds(value) for name, value in options.items() if value is not None}
        if isinstance(fields.get("callback"), str):
            fields["callback"] = {"url": fields["callback"]}
        if "unique" in fields:
            fields["unique"] = msgspec.to_builtins(asked_of(fields["unique"]))
        if "after" in fields:
            fields["after"] = parent_ids(fields["after"])
        if payload is not None or "template" not in fields:
            fields["payload"] = payload
        self.content = _encode({"type": self.type, **fields}, self.type)
        """The submission in MessagePack."""

    @classmethod
    def from_document(cls, document: Any) -> "NewJob":
        """Return a job that is written as the API takes it, such as a line of a file of jobs.

        Raises: TypeError, for what is no object; the service checks the rest.
        """
        if not isinstance(document, dict):
            raise TypeError('a job is an object such as {"type": …, "payload": …}')
        job = cls.__new__(cls)
        job.type = str(document.get("type", ""))
        job.content = _encode(document, job.type)
        return job

    def __repr__(self) -> str:
        # Payloads never appear in logs, and reprs do.
        return f"NewJob({self.type!r}, {len(self.content)} bytes)"


def new_jobs(
    jobs: str | JobRef[Any, Any] | Iterable[NewJob], payloads: Iterable[Any] | None, options: SubmitOptions
) -> list[NewJob]:
    """Return the jobs of a call of `submit_many`, in either of its two forms. Raises: TypeError."""
    if isinstance(jobs, str | JobRef):
        if payloads is None:
            raise TypeError(f"submit_many({jobs!r}, payloads): the payloads are missing")
        return [NewJob(jobs, payload, **options) for payload in payloads]
    if payloads is not None or options:
        raise TypeError("submit_many(jobs) takes no payloads and no options: each NewJob has its own")
    return list(jobs)


def batches(jobs: Iterable[NewJob]) -> Iterator[tuple[int, bytes]]:
    """Pack jobs into as few request bodies as the API's limits allow. Yields: number of jobs, body.

    The same jobs are always packed in the same way, so that a repeated call has the same key for the same jobs.
    """
    # A MessagePack array of 10,000 needs 3 bytes for its length, the map around it 6.
    room_bytes = limits.MAX_BATCH_BODY_BYTES - 16
    batch: list[msgspec.Raw] = []
    size_bytes = 0
    for job in jobs:
        if batch and (len(batch) == limits.MAX_BATCH_JOBS or size_bytes + len(job.content) > room_bytes):
            yield len(batch), msgspec.msgpack.encode({"jobs": batch})
            batch, size_bytes = [], 0
        batch.append(msgspec.Raw(job.content))
        size_bytes += len(job.content)
    if batch:
        yield len(batch), msgspec.msgpack.encode({"jobs": batch})


def _encode(submission: dict[str, Any], job_type: str) -> bytes:
    # Times become RFC 3339 strings, as in JSON: schemas of payloads know no other form, and handlers in other languages
    # need not know the timestamp extension of MessagePack.
    try:
        return msgspec.msgpack.encode(plain_payload(submission))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"the payload of `{job_type}` cannot be encoded: {error}") from error
