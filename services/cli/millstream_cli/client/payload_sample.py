"""Makes up a payload that a schema accepts, for the commands that are shown to be tried."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from millstream_submission.payload_schema import PayloadSchema

_TEXTS = {
    "date": "2026-11-26",
    "time": "15:00:00",
    "date-time": "2026-11-26T15:00:00Z",
    "duration": "PT5S",
    "email": "ann@example.org",
    "uri": "https://example.org",
    "uuid": "019cb0a2-6f3e-7c1a-8d5b-2f6e9a4c7b10",
}
"""A text of each format."""
_MAX_DEPTH = 12
"""A schema may contain itself."""


class _NoSampleError(Exception):
    """A schema asks for something that is not made up here, such as a pattern."""


def sample_words(schema: Mapping[str, Any] | None) -> list[str] | None:
    """Return the words with which `submit` is given a payload that this schema accepts; None when none is found.

    There are no words where a job needs no payload.
    """
    if schema is None:
        return []
    try:
        value = _Sample(schema).of(schema)
        if PayloadSchema(dict(schema)).errors(value):
            return None
    except Exception:  # noqa: BLE001 - the schema is that of users, and a hint that is left out harms nothing
        return None
    return [] if value is None else [msgspec.json.encode(value).decode()]


class _Sample:
    """Makes up values for parts of one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})

    def of(self, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """Return a value. Raises: _NoSampleError, KeyError."""
        if depth > _MAX_DEPTH:
            raise _NoSampleError
        if "$ref" in schema:
            return self.of(self._definitions[schema["$ref"].rpartition("/")[2]], depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self.of(schema[keyword][0], depth + 1)
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        if "enum" in schema:
            return schema["enum"][0]
        return self._by_type(schema, depth)

    def _by_type(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return _TEXTS.get(schema.get("format", ""), "text").ljust(schema.get("minLength", 0), "x")
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case "null" | None:
                return None
        raise _NoSampleError

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        made = {name: self.of(properties.get(name, {}), depth + 1) for name in schema.get("required", ())}
        further = schema.get("additionalProperties")
        return {"name": self.of(further, depth + 1)} if not properties and isinstance(further, dict) else made

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.of(one, depth + 1) for one in schema["prefixItems"]]
        items = schema.get("items", {})
        return [self.of(items, depth + 1) for _ in range(max(1, schema.get("minItems", 0)))]


def _number(schema: Mapping[str, Any]) -> float:
    """Return the step itself, or the multiple of it that is nearest to it within the bounds."""
    step: float = schema.get("multipleOf", 1)
    least: float = max(schema.get("minimum", step), schema.get("exclusiveMinimum", 0) + step)
    most: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - step)
    return min(-(-least // step) * step, most)
