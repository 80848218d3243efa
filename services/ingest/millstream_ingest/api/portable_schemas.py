"""Rewrites schemas of msgspec so that generators of clients, in many languages, read them alike (ADR 28)."""

import re
from typing import Any

Schema = dict[str, Any]

REF_TEMPLATE = "#/components/schemas/{name}"

_NULL = {"type": "null"}
_FORMATS = {"integer": "int64", "number": "double"}
# A default makes generators require the field of a request; a title makes them name its type by it.
_NOT_PUBLISHED = frozenset({"title", "default"})
# What an answer holds is for the service to say: a client that checked it would break when a later release widens it.
_BOUNDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "pattern"}
)
_PAGE = re.compile(r"Listing_(\w+)_")


def portable(schema: Schema, *, is_request: bool = False) -> Schema:
    """Return a schema without what generators read in different ways; only those of requests keep their bounds."""
    dropped = _NOT_PUBLISHED if is_request else _NOT_PUBLISHED | _BOUNDS
    written = {key: _rewritten(key, value, is_request) for key, value in schema.items() if key not in dropped}
    if members := written.pop("anyOf", None):
        written |= _nullable(members)
    return written | _added(written)


def _rewritten(key: str, value: Any, is_request: bool) -> Any:
    """Return what stands under a keyword of a schema."""
    match key, value:
        case ("properties", dict(fields)):
            return {name: portable(one, is_request=is_request) for name, one in fields.items()}
        case ("items" | "additionalProperties" | "propertyNames", dict()):
            return portable(value, is_request=is_request)
        case ("anyOf", list(members)):
            return [portable(one, is_request=is_request) for one in members]
        case ("$ref", str(reference)):
            return REF_TEMPLATE.format(name=component_name(reference.rpartition("/")[2]))
        case ("pattern", str(pattern)):
            # The readers of schemas have a `$` that is the very end; RE2 and Rust know no look-ahead.
            return pattern.removesuffix(r"(?!\n)")
    return value


def _added(schema: Schema) -> Schema:
    """Return the keywords that msgspec leaves out."""
    match schema:
        case {"enum": _} if "type" not in schema:
            return {"type": "string"}
        case {"type": ("integer" | "number") as kind}:
            return {"format": _FORMATS[kind]}
        case {"type": "object"} if not {"properties", "additionalProperties"} & schema.keys():
            return {"additionalProperties": True}
    return {}


def _nullable(members: list[Schema]) -> Schema:
    """Return a union; what may be null is one schema with two types, for many languages make a type of each union."""
    match [member for member in members if member != _NULL]:
        case [{"type": str(kind)} as one]:
            values = {"enum": [*one["enum"], None]} if "enum" in one else {}
            return {**one, **values, "type": [kind, "null"]}
    return {"anyOf": members}


def without_null(schema: Schema) -> Schema:
    """Return the schema of a field that is left out where it would be null."""
    match schema:
        case {"type": [kind, "null"]}:
            values = {"enum": [one for one in schema["enum"] if one is not None]} if "enum" in schema else {}
            return {**schema, **values, "type": kind}
        case {"anyOf": [one, {"type": "null"}], **others}:
            return {**others, **one}
    return schema


def component_name(name: str) -> str:
    """Return the name of a component, which is that of a class in generated clients."""
    page = _PAGE.fullmatch(name)
    return f"{page[1]}Page" if page else "JobPage" if name == "Page" else name
