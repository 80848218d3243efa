"""Reads what is stored of a job, also what this release cannot read: one such job must not stop those beside it."""

from typing import Any

import msgspec

from millstream_contracts import JobSpec

# Stands for a spec that was broken, or written by a release that this one does not understand. No handler can decode
# its payload either, so the job is buried with a clear reason.
UNREADABLE = JobSpec(payload=msgspec.Raw(b""), created_at_ms=0)

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode


def read_spec(blob: bytes) -> JobSpec:
    """Return a job's spec, or :data:`UNREADABLE`."""
    try:
        return _decode_spec(blob)
    except UNDECODABLE:
        return UNREADABLE


def read_value(blob: bytes | msgspec.Raw) -> Any:
    """Return a stored payload or result for people to look at; None when it cannot be read."""
    try:
        return msgspec.msgpack.decode(blob)
    except UNDECODABLE:
        return None
