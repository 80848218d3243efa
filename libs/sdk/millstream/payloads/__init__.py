"""Types of payloads: what schema a handler publishes, and how what comes becomes the type that it takes (ADR 15)."""

from millstream.payloads.payload_type import PayloadType
from millstream.payloads.union_guard import unsafe_union

__all__ = ["PayloadType", "unsafe_union"]
