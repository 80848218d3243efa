"""What a compiled schema refuses, and what becomes of a schema that cannot be compiled."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from millstream_contracts import JobType
from millstream_submission.payload_errors import MAX_DETAIL_CHARS
from millstream_submission.payload_schema import PayloadSchema, compile_schema

ODD = 2**53 + 1
"""As a float it is even."""


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"multipleOf": 2}, 4, True),
        ({"multipleOf": 2}, 5, False),
        ({"multipleOf": 2}, 4.0, True),
        ({"multipleOf": 2}, 4.5, False),
        ({"multipleOf": 2}, True, True),
        ({"multipleOf": 2}, "5", True),
        ({"multipleOf": 2}, ODD, False),
        ({"type": "integer", "multipleOf": 2}, ODD, False),
        ({"type": "integer", "multipleOf": ODD}, 2.0**53, False),
        ({"type": "number", "multipleOf": 2}, ODD, True),
        ({"type": "number", "multipleOf": 0.1}, 0.3, False),
        ({"type": "number", "multipleOf": 0.5}, -1.5, True),
    ],
)
def test_a_multiple_is_what_a_worker_takes_for_one(schema: dict[str, Any], value: Any, fits: bool) -> None:
    """An integer is exact whatever its size, a `float` is computed as one, and what is no number has no multiple."""
    assert (PayloadSchema(schema).errors(value) == []) is fits


def nested(depth: int) -> dict[str, Any]:
    """Return a schema in a schema, to this depth."""
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        nested(300),
        nested(100_000),
        {"type": 12},
        {"$ref": "#/nowhere"},
        {"pattern": "(" + "x" * 10 * MAX_DETAIL_CHARS},
        {"type": object()},
    ],
    ids=["deep", "far too deep", "no schema", "no target", "long", "no JSON"],
)
def test_a_schema_that_cannot_be_compiled_is_logged_in_a_line_and_checks_nothing(schema: dict[str, Any]) -> None:
    """A worker's defect keeps no job out, and its operator finds which type it is."""
    with capture_logs() as lines:
        assert compile_schema(JobType("a"), schema) is None
    (line,) = lines
    assert (line["event"], line["log_level"], line["type"]) == ("payload schema cannot be used", "warning", "a")
    assert 0 < len(line["reason"]) <= MAX_DETAIL_CHARS
    assert "\n" not in line["reason"]


def test_a_type_without_a_schema_is_no_reason_for_a_line() -> None:
    """A handler that takes anything has none."""
    with capture_logs() as lines:
        assert compile_schema(JobType("a"), None) is None
    assert lines == []
