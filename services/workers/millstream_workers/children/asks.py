"""What a handler process asks its worker about children, and the answers: plain data, cut into parts."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from millstream_contracts import Job
from millstream_workers.children.refusals import Refusal

PART_BYTES = 1 << 20
"""The size of a part. A batch may be larger than any frame."""


class StoreAsk(Struct, frozen=True, tag="store"):
    """Store these submissions, all or none."""

    contents: list[bytes]
    idempotency_key: str | None
    many: bool
    traceparent: str
    tracestate: str


class GetAsk(Struct, frozen=True, tag="get"):
    """Read a job."""

    job_id: str


class CancelAsk(Struct, frozen=True, tag="cancel"):
    """Cancel a job."""

    job_id: str


class WaitAsk(Struct, frozen=True, tag="wait"):
    """Answer once a job has settled, or the time is over."""

    job_id: str
    timeout_s: float


class Stored(Struct, frozen=True, tag="stored"):
    """The submissions are stored, under these ids."""

    ids: list[str]


class Found(Struct, frozen=True, tag="found"):
    """The job as it is now."""

    job: Job


class Refused(Struct, frozen=True, tag="refused"):
    """What was asked for failed."""

    refusal: Refusal


Ask = StoreAsk | GetAsk | CancelAsk | WaitAsk
Answer = Stored | Found | Refused

encode = msgspec.msgpack.Encoder().encode
decode_ask = msgspec.msgpack.Decoder(Ask).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def parts_of(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Cut a message into parts. Yields: each, and whether it is the last."""
    for start in range(0, len(body), PART_BYTES):
        end = start + PART_BYTES
        yield body[start:end], end >= len(body)
