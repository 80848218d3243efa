"""Splits the body of a batch into its jobs, each undecoded, so that a bad one does not affect the others."""

import re

import msgspec
from msgspec import Raw, Struct

from millstream_contracts import Batch, FieldError, limits
from millstream_ingest.http.negotiation import BatchFormat, Encoding
from millstream_ingest.submission.bodies import decode_as, decoder_of
from millstream_submission import TOO_DEEP, InvalidError, invalid, malformed, too_large

_TRAILING = re.compile(r".*trailing characters \(byte (\d+)\)")

# The jobs of a batch, as an "object" of so many optional fields: decoding stops at the first one too many. A
# `list[Raw]` is built before its length is looked at: 32 MB of `1,` would become a gigabyte.
Jobs = msgspec.defstruct(
    "Jobs",
    [("job", Raw), *((f"job{index}", Raw, Raw(b"")) for index in range(1, limits.MAX_BATCH_JOBS))],
    array_like=True,
    forbid_unknown_fields=True,
    frozen=True,
)


class _Batch(Struct, frozen=True, forbid_unknown_fields=True):
    jobs: Jobs  # type: ignore[valid-type]


def split_batch(body: bytes, batch: BatchFormat) -> list[bytes | Raw]:
    """Return the jobs of a batch, each undecoded. Raises: SubmissionError, when the batch as a whole is wrong."""
    if len(body) > limits.MAX_BATCH_BODY_BYTES:
        raise too_large("", "the batch", len(body), limits.MAX_BATCH_BODY_BYTES)
    if not batch.is_sequence:
        return jobs_of(_decode(body, batch.encoding).jobs)
    parts = _split_lines(body) if batch.encoding is Encoding.JSON else _split_objects(body)
    if not parts:
        raise invalid(FieldError("", "the batch has no jobs"))
    return parts


def jobs_of(read: Struct) -> list[bytes | Raw]:
    """Return what was read as `Jobs`."""
    return [job for job in msgspec.structs.astuple(read) if job]


def _decode(body: bytes, encoding: Encoding) -> _Batch:
    # Describing ten thousand fields takes a tenth of a second; the contract has the same names.
    return decode_as(_Batch, body, encoding, described=Batch)


def _split_lines(body: bytes) -> list[bytes | Raw]:
    # Counted first: splitting 32 MB of newlines would make 32 million objects.
    if body.count(b"\n") > limits.MAX_BATCH_JOBS:
        raise _too_many()
    lines: list[bytes | Raw] = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > limits.MAX_BATCH_JOBS:
        raise _too_many()
    return lines


def _split_objects(body: bytes) -> list[bytes | Raw]:
    """Return the MessagePack objects that stand one after the other in a body."""
    # msgspec has no streaming decoder, but when it finds more after an object it says at which byte.
    rest = memoryview(body)
    parts: list[bytes | Raw] = []
    while rest:
        if len(parts) == limits.MAX_BATCH_JOBS:
            raise _too_many()
        size = _object_bytes(rest, f"/{len(parts)}")
        parts.append(bytes(rest[:size]))
        rest = rest[size:]
    return parts


def _object_bytes(rest: memoryview, prefix: str) -> int:
    try:
        decoder_of(Raw, Encoding.MSGPACK)(rest)
    except msgspec.DecodeError as error:
        if (trailing := _TRAILING.fullmatch(str(error))) is None:
            raise malformed(error, prefix) from None
        return int(trailing[1])
    except RecursionError:
        raise invalid(FieldError(prefix, TOO_DEEP)) from None
    return len(rest)


def _too_many() -> InvalidError:
    return invalid(FieldError("", f"expected at most {limits.MAX_BATCH_JOBS:,} jobs"))
