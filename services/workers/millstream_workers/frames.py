"""What a worker and its handler processes say to each other: length-prefixed MessagePack over pipes.

Both ends are this package, in one release, on one machine; still nothing but plain data crosses.
"""

import struct
from typing import Literal

import msgspec
from msgspec import Struct

from millstream_contracts import JobError, Progress

HEADER = struct.Struct("!I")

MAX_FRAME_BYTES = 4 << 20
"""Far above any order or report; a length above it was never meant as one."""


class Order(Struct, frozen=True, tag="order"):
    """Run this job."""

    job_type: str
    job_id: str
    attempt: int
    fence: int
    spec: bytes
    timeout_s: float | None


class ReadyReport(Struct, frozen=True, tag="ready"):
    """The apps are loaded, or an order was taken."""


class ProgressReport(Struct, frozen=True, tag="progress"):
    """The handler says how far it is."""

    progress: Progress


class ReturnReport(Struct, frozen=True, tag="returned"):
    """The handler returned."""

    result: bytes


class WishReport(Struct, frozen=True, tag="wish"):
    """The handler steered: RetryAfter or Snooze with seconds, Discard or Dead with a reason."""

    kind: Literal["retry_after", "snooze", "discard", "dead"]
    delay_s: float = 0.0
    reason: str = ""


class FailureReport(Struct, frozen=True, tag="failed"):
    """The handler raised, or returned what cannot be stored."""

    error: JobError
    invalid_result: bool = False


Report = ReadyReport | ProgressReport | ReturnReport | WishReport | FailureReport

decode_order = msgspec.msgpack.Decoder(Order).decode
decode_report = msgspec.msgpack.Decoder(Report).decode


def encode_frame(message: Order | Report) -> bytes:
    """Return a message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(len(body)) + body
