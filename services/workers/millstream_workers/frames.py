"""What a worker and its handler processes say to each other: length-prefixed MessagePack over pipes.

Both ends are this package, in one release, on one machine; still nothing but plain data crosses.
"""

import struct
from typing import Any

import msgspec
from msgspec import Struct

from millstream_contracts import JobError, Progress

HEADER = struct.Struct("!I")


class Order(Struct, frozen=True, tag="order"):
    """Run this job."""

    job_type: str
    job_id: str
    attempt: int
    fence: int
    spec: bytes
    timeout_s: float | None


class ProgressReport(Struct, frozen=True, tag="progress"):
    """The handler says how far it is."""

    progress: Progress


class ReturnReport(Struct, frozen=True, tag="returned"):
    """The handler returned."""

    value: Any


class RaiseReport(Struct, frozen=True, tag="raised"):
    """The handler raised: a wish, by its name and arguments, or an error as text."""

    kind: str
    """`RetryAfter`, `Snooze`, `Discard`, `Dead` or `error`."""
    argument: float | str = ""
    error: JobError | None = None


Report = ProgressReport | ReturnReport | RaiseReport

decode_order = msgspec.msgpack.Decoder(Order).decode
decode_report = msgspec.msgpack.Decoder(Report).decode


def encode_frame(message: Order | Report) -> bytes:
    """Return a message with its length before it. Raises: TypeError, when a value cannot be encoded."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(len(body)) + body
