"""Reads and checks a batch as it is submitted: its own fields, and its callbacks by the rules of every submission."""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from millstream_contracts import (
    BATCH_TAGS,
    BatchEvent,
    BatchSubmission,
    FieldError,
    Submission,
    Tenant,
    TypePolicy,
    limits,
)
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.submission.batch_bodies import Jobs, jobs_of
from millstream_ingest.submission.bodies import CODECS, decode_as
from millstream_submission import Decoded, Intake, InvalidError, too_large

_TIMES = ("run_at", "expires_at")
_NOTHING = Raw(b"\xc0")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _Batch(BatchSubmission, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A batch whose jobs are bounded while they are read."""

    jobs: Jobs | None = None  # type: ignore[valid-type]


class ReadCallback(Struct, frozen=True):
    """A callback that may be submitted."""

    decoded: Decoded
    policy: TypePolicy

    @property
    def content(self) -> bytes:
        """Return its submission in MessagePack."""
        return _encode(replace(self.decoded.submission, payload=Raw(self.decoded.payload)))

    @property
    def identity(self) -> object:
        """Return what it consists of, whatever its encoding and its layout were."""
        if self.decoded.sent:
            return self.decoded.sent
        return replace(self.decoded.submission, payload=_NOTHING), _decode(self.decoded.payload)


class ReadBatch(Struct, frozen=True):
    """A batch that keeps its rules. Its jobs are yet to be checked."""

    submission: BatchSubmission
    """Without jobs and callbacks."""
    jobs: list[bytes | Raw]
    callbacks: Mapping[BatchEvent, ReadCallback]

    @property
    def identity(self) -> tuple[object, ...]:
        """Return what it consists of. Each of its jobs has an identity of its own."""
        callbacks = {event.value: callback.identity for event, callback in self.callbacks.items()}
        return self.submission, len(self.jobs), callbacks


async def read_batch(intake: Intake, tenant: Tenant, body: bytes, encoding: Encoding) -> ReadBatch:
    """Return the batch of a body. Raises: SubmissionError, StoreUnavailableError."""
    if len(body) > limits.MAX_BATCH_BODY_BYTES:
        raise too_large("", "the batch", len(body), limits.MAX_BATCH_BODY_BYTES)
    # Describing ten thousand jobs takes a tenth of a second; the contract has the same names.
    read = decode_as(_Batch, body, encoding, described=BatchSubmission)
    jobs: list[bytes | Raw] = jobs_of(read.jobs) if read.jobs is not None else []
    faults: list[FieldError] = []
    if not jobs and not read.open:
        faults.append(FieldError("/open", "a batch without `jobs` has to be open: nothing could be added to it"))
    callbacks = {}
    for event in BatchEvent:
        if content := getattr(read, event.value):
            try:
                callbacks[event] = await _callback(intake, tenant, content, encoding, f"/{event.value}")
            except InvalidError as error:
                faults += error.errors
    if faults:
        raise InvalidError(faults)
    head = BatchSubmission(name=read.name, open=read.open, expires_in_s=read.expires_in_s, retention_s=read.retention_s)
    return ReadBatch(head, jobs, callbacks)


async def _callback(intake: Intake, tenant: Tenant, content: Raw, encoding: Encoding, prefix: str) -> ReadCallback:
    """Return a callback. Raises: SubmissionError."""
    decoded = await intake.decode(tenant, content, CODECS[encoding], prefix)
    if faults := list(_faults(decoded.submission, prefix)):
        raise InvalidError(faults)
    return ReadCallback(decoded, await intake.admit(tenant, decoded, prefix))


def _faults(submission: Submission, prefix: str) -> Iterator[FieldError]:
    for field in _TIMES:
        if getattr(submission, field) is not None:
            yield FieldError(f"{prefix}/{field}", "its times count from the event: `delay_s` and `expires_in_s`")
    if submission.after is not None:
        yield FieldError(f"{prefix}/after", "the event is what a callback waits for")
    tags = submission.tags or {}
    for tag in BATCH_TAGS:
        if tag in tags:
            yield FieldError(f"{prefix}/tags/{tag}", "is a tag that the batch sets")
    if len(tags) > limits.MAX_TAGS - len(BATCH_TAGS):
        most = limits.MAX_TAGS - len(BATCH_TAGS)
        yield FieldError(f"{prefix}/tags", f"at most {most}, for the batch sets {len(BATCH_TAGS)} more")
