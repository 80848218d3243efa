"""Types of payloads and results: the schema that a handler publishes, and the decoder of what arrives (ADR 15)."""

from millstream.payloads.data_type import ANYTHING, DataType
from millstream.payloads.encoder import plain_payload, plain_result
from millstream.payloads.secret import Secret

__all__ = ["ANYTHING", "DataType", "Secret", "plain_payload", "plain_result"]
