"""Makes Python types of the JSON Schemas of payloads and results.

What a schema says beyond the type, such as bounds and patterns, is left to the API, which checks it. A schema that
Python has no type for is read as `Any`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from millstream_cli.stubs.default_writer import default_of
from millstream_cli.stubs.namer import Namer
from millstream_cli.stubs.python_type import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    MAPPING,
    NULL,
    ClassField,
    EnumClass,
    PythonType,
    StructClass,
)
from millstream_cli.stubs.tag_finder import own_tag, tags_of
from millstream_cli.stubs.text_types import key_type, text_type
from millstream_cli.stubs.union_merger import literal, merged

Schema = Mapping[str, Any]

_NO_FIELD_NAME = re.compile(r'[\x00-\x1f"\\]')
"""What msgspec refuses in the name of a field."""

_MAX_DEPTH = 60


class SchemaReader:
    """Reads schemas, one after the other, into the classes of one module."""

    def __init__(self) -> None:
        self.classes: list[StructClass] = []
        self.enums: list[EnumClass] = []
        self.names = Namer()
        self._known: dict[str, PythonType] = {}
        """By what defines them: equal definitions of several job types are one class."""

    def read(self, schema: Schema | None, hint: str) -> PythonType:
        """Return the type of a schema; `hint` names a class that the schema does not name."""
        return _Document(self, schema).read(schema, hint) if isinstance(schema, Mapping) else ANY

    def known(self, key: str, make: Callable[[], PythonType]) -> PythonType:
        """Return the type of a definition that was read before, or make it."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def note(self, key: str, found: PythonType) -> None:
        """Make the name of a class known before its fields are read, which may lead back to it."""
        self._known[key] = found


class _Document:
    """Reads one schema with its definitions."""

    def __init__(self, reader: SchemaReader, root: Schema) -> None:
        self._reader = reader
        self._definitions: Mapping[str, Any] = root.get("$defs", {})
        self._tags = tags_of(root, self._definitions)
        self._depth = 0

    def read(self, schema: Any, hint: str) -> PythonType:
        """Return the type of a schema."""
        if not isinstance(schema, Mapping) or self._depth > _MAX_DEPTH:
            return ANY
        self._depth += 1
        try:
            return self._read(schema, hint)
        finally:
            self._depth -= 1

    def _read(self, schema: Schema, hint: str) -> PythonType:
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "const" in schema or "enum" in schema:
            return _values(schema)
        options = _options(schema)
        if options is not None:
            return merged(self.read(one, hint) for one in options)
        if schema.get("format") == "decimal":
            return PythonType("Decimal", "text")
        read = _BY_TYPE.get(schema.get("type", "object" if "properties" in schema else ""))
        return read(self, schema, hint) if read else ANY

    def _reference(self, ref: Any) -> PythonType:
        name = str(ref).removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        definition = self._definitions.get(name)
        if not isinstance(definition, Mapping) or not str(ref).startswith("#/$defs/"):
            return ANY
        tag = self._tags.get(name) or own_tag(definition)
        return self._defined(definition, str(definition.get("title") or name.rpartition(".")[2]), tag)

    def _defined(self, definition: Schema, hint: str, tag: tuple[str, str | int] | None) -> PythonType:
        """Return the type of a definition. What it refers to is a part of what defines it."""
        parts = self._reached(definition)
        key = msgspec.json.encode([hint, tag, definition, parts], order="sorted").decode()
        if _is_class(definition):
            return self._reader.known(key, lambda: self._class(definition, hint, tag, key))
        if _is_enumeration(definition):
            return self._reader.known(key, lambda: self._enum(definition, hint))
        return self._reader.known(key, lambda: self.read(definition, hint))

    def _reached(self, definition: Any) -> dict[str, Any]:
        """Return the definitions that one leads to, by name."""
        found: dict[str, Any] = {}
        pending = [definition]
        while pending:
            one = pending.pop()
            if isinstance(one, Mapping):
                name = str(one.get("$ref", "")).removeprefix("#/$defs/")
                if name in self._definitions and name not in found:
                    found[name] = self._definitions[name]
                    pending.append(found[name])
                pending += one.values()
            elif isinstance(one, list):
                pending += one
        return found

    def _class(self, schema: Schema, hint: str, tag: tuple[str, str | int] | None, key: str) -> PythonType:
        name = self._reader.names.class_name(hint)
        found = PythonType(name, "object", tag=tag)
        self._reader.note(key, found)
        made = StructClass(name=name, doc=str(schema.get("description", "")), fields=[], tag=tag)
        self._reader.classes.append(made)
        names = Namer()
        for encoded, field in schema["properties"].items():
            if tag is None or encoded != tag[0]:
                made.fields.append(self._field(encoded, field, schema, f"{name} {encoded}", names))
        return found

    def _field(self, encoded: str, field: Any, schema: Schema, hint: str, names: Namer) -> ClassField:
        kind = self.read(field, hint)
        is_required = encoded in schema.get("required", ())
        default = None if is_required else default_of(field, kind, self._reader.enums)
        if default == "UNSET":
            kind = PythonType(f"{kind.text} | UnsetType", kind.kind, members=(*kind.each,))
        return ClassField(names.field_name(encoded), encoded, kind, default)

    def _enum(self, schema: Schema, hint: str) -> PythonType:
        members = Namer()
        made = EnumClass(
            name=self._reader.names.class_name(hint),
            doc=str(schema.get("description", "")),
            members={members.member_name(value): value for value in schema["enum"]},
        )
        self._reader.enums.append(made)
        return PythonType(made.name, "text" if made.base == "StrEnum" else "int")

    def array(self, schema: Schema, hint: str) -> PythonType:
        """Return the type of an array."""
        places = schema.get("prefixItems")
        if not places:
            return PythonType(f"list[{self.read(schema.get('items', {}), hint).text}]", "array")
        types = [self.read(place, hint) for place in places]
        is_fixed = schema.get("minItems") == len(places) == schema.get("maxItems")
        inside = ", ".join(one.text for one in types) if is_fixed else ""
        return PythonType(f"tuple[{inside}]" if is_fixed else f"list[{merged(types).text}]", "array")

    def object(self, schema: Schema, hint: str) -> PythonType:
        """Return the type of an object: a class where it has fields, else a dict."""
        if _is_class(schema):
            return self._defined(schema, str(schema.get("title") or hint), own_tag(schema))
        values = schema.get("additionalProperties", {})
        keys = key_type(schema.get("propertyNames", {}))
        inside = self.read(values, hint)
        return MAPPING if (keys, inside) == ("str", ANY) else PythonType(f"dict[{keys}, {inside.text}]", "mapping")


_BY_TYPE: Mapping[str, Callable[[_Document, Schema, str], PythonType]] = {
    "null": lambda *_: NULL,
    "boolean": lambda *_: BOOL,
    "integer": lambda *_: INT,
    "number": lambda *_: FLOAT,
    "string": lambda _, schema, __: text_type(schema),
    "array": _Document.array,
    "object": _Document.object,
}


def _is_class(schema: Schema) -> bool:
    """Whether an object has fields, with names that a Struct can have in JSON."""
    fields = schema.get("properties") if schema.get("type", "object") == "object" else None
    return isinstance(fields, Mapping) and bool(fields) and not any(map(_NO_FIELD_NAME.search, fields))


def _is_enumeration(schema: Schema) -> bool:
    """Whether a definition lists texts, or integers, and more than one."""
    values = schema.get("enum", ())
    return len(values) > 1 and {type(value) for value in values} in ({str}, {int})


def _options(schema: Schema) -> list[Any] | None:
    """Return the schemas of which one has to fit; None where the schema itself says what fits."""
    kinds = schema.get("type")
    if isinstance(kinds, list) and schema.get("format") != "decimal":
        return [{**schema, "type": kind} for kind in kinds]
    if kinds == "string":
        return None  # what stands beside it are formats and lengths
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return list(schema[keyword])
    parts = schema.get("allOf", ())
    return list(parts) if len(parts) == 1 and kinds is None else None


def _values(schema: Schema) -> PythonType:
    """Return the type of the values that a schema lists."""
    listed = list(schema["enum"]) if "enum" in schema else [schema["const"]]
    kinds = {type(value) for value in listed}
    if not kinds <= {str, int, bool, type(None)}:
        return ANY
    of_kind = [[value for value in listed if type(value) is kind] for kind in (bool, int, str)]
    return merged([*(literal(values) for values in of_kind if values), *([NULL] if None in listed else [])])
