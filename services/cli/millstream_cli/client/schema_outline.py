"""Writes a JSON Schema as an outline for people: a line for each field, `name: string = "report"`."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_Schema = Mapping[str, Any]


def outline(schema: _Schema) -> Iterator[str]:
    """Yield the lines: those of the value itself, then each definition that it refers to under its name."""
    definitions: _Schema = schema.get("$defs", {})
    root = _name(schema)
    yield from _lines(definitions.get(root, schema))
    for name, definition in definitions.items():
        if name != root:
            yield f"{name}:"
            yield from (f"  {line}" for line in _lines(definition))


def _lines(schema: _Schema) -> Iterator[str]:
    properties = schema.get("properties")
    if not properties:
        yield _text(schema)
        return
    required = schema.get("required", ())
    for name, field in properties.items():
        default = f" = {_json(field['default'])}" if isinstance(field, Mapping) and "default" in field else ""
        is_optional = name not in required and not default
        yield f"{name}{'?' if is_optional else ''}: {_text(field)}{default}"


def _text(schema: Any) -> str:
    """Return a type in one line."""
    if not isinstance(schema, Mapping):
        return "anything"
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return " | ".join(map(_text, schema[keyword]))
    if "const" in schema or "enum" in schema:
        return " | ".join(map(_json, schema.get("enum", [schema.get("const")])))
    return _name(schema) or _by_type(schema)


def _by_type(schema: _Schema) -> str:
    kind = schema.get("type", "anything")
    match " | ".join(kind) if isinstance(kind, list) else kind:
        case "array":
            return _array(schema)
        case "object":
            return f"{{string: {_text(schema.get('additionalProperties'))}}}"
        case text:
            return f"{text} ({', '.join(bounds)})" if (bounds := _bounds(schema)) else str(text)


def _array(schema: _Schema) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(map(_text, schema['prefixItems']))}]"
    return f"[{_text(schema.get('items'))}, ...]"


def _bounds(schema: _Schema) -> list[str]:
    """Return what else is asked of a value, such as `minimum 1`."""
    passed_over = ("type", "title", "description", "default", "$defs")
    return [f"{keyword} {value}" for keyword, value in schema.items() if keyword not in passed_over]


def _name(schema: _Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
