"""Reads the result of a job as the type that its handler is annotated with."""

from typing import Any

import msgspec

from millstream.errors import ResultError
from millstream.payloads import DataType


def read_result(value: Any, gives: DataType, job_id: str) -> Any:
    """Return a result, which is plain data, as a type. Raises: ResultError."""
    try:
        return gives.convert(value)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise ResultError(f"the result of {job_id} is no {gives.name}: {error}") from error
