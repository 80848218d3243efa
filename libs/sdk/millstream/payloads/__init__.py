"""Types of payloads: the schema that a handler publishes, and the decoder of what arrives (ADR 15)."""

from millstream.payloads.payload_type import PayloadType
from millstream.payloads.union_guard import unsafe_union

__all__ = ["PayloadType", "unsafe_union"]
