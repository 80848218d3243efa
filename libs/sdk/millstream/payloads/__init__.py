"""Types of payloads and results: the schema that a handler publishes, and the decoder of what arrives (ADR 15)."""

from millstream.payloads.data_type import ANYTHING, DataType

__all__ = ["ANYTHING", "DataType"]
