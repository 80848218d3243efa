"""The compiled JSON Schema of a job type, which finds the errors of a payload."""

import math
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec
import structlog

from millstream_contracts import TEXT_FORMATS, FieldError, JobType
from millstream_submission.payload_errors import MASKED_VALUE, MAX_DETAIL_CHARS, field_errors

MAX_ERRORS = 20
"""The most errors of a refusal: enough for a person, and few enough that no response is larger than its request."""


class _MultipleOf:
    """The keyword `multipleOf`, exact for large numbers, and for floats as workers compute it."""

    def __init__(self, schema: dict[str, Any], divisor: float, _path: list[str | int]) -> None:
        self._divisor = divisor
        self._is_real = schema.get("type") == "number"

    def validate(self, value: Any) -> None:
        """Raise ValueError unless a number is a multiple."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if math.fmod(value, self._divisor) if self._is_real else self._remainder(value):
            raise ValueError(f"{MASKED_VALUE} is not a multiple of {self._divisor}")

    def _remainder(self, value: float) -> float:
        is_whole = float(value).is_integer()
        return (int(value) if is_whole else value) % self._divisor


class PayloadSchema:
    """Checks payloads of one job type."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Compile a schema, without fetching references to elsewhere. Raises: ValueError."""
        # A schema comes from a worker: its `$ref` must not make ingest ask other servers.
        # What calls back into Python makes all checks slower, so only what the schema may ask for is given.
        text = msgspec.json.encode(schema)
        self._validator = jsonschema_rs.validator_for(
            schema,
            offline=True,
            # No error quotes a value: it may be a secret, and clients log what they are refused.
            mask=MASKED_VALUE,
            validate_formats=True,
            formats={name: has for name, has in TEXT_FORMATS.items() if f'"{name}"'.encode() in text} or None,
            keywords={"multipleOf": _MultipleOf} if b'"multipleOf"' in text else None,
        )

    def errors(self, payload: Any) -> list[FieldError]:
        """Return the errors of a decoded payload, at most :data:`MAX_ERRORS`; none for a valid one."""
        try:
            if self._validator.is_valid(payload):
                return []
        except ValueError:
            pass  # it has come to binary data, which the validator does not know
        # Binary data is what it is in JSON: its base64.
        subject = msgspec.to_builtins(payload)
        return list(islice(field_errors(self._validator.iter_errors(subject)), MAX_ERRORS))


def compile_schema(job_type: JobType, schema: dict[str, Any] | None) -> PayloadSchema | None:
    """Return the checker of a schema; None without a schema, or for an unusable one."""
    if schema is None:
        return None
    try:
        return PayloadSchema(schema)
    except (ValueError, TypeError, OverflowError, RecursionError, jsonschema_rs.ReferencingError) as error:
        # A worker's defect must not keep jobs out that the worker may well be able to run.
        reason = str(error).partition("\n")[0][:MAX_DETAIL_CHARS]
        structlog.get_logger().warning("payload schema cannot be used", type=job_type, reason=reason)
        return None
