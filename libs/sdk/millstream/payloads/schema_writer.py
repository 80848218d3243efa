"""Writes the published JSON Schema of a payload: it accepts the JSON that the decoder of the worker accepts.

The schemas of msgspec are looser than its decoders (bytes by their length as text, times without a format), or use
patterns that only Python reads. A type that no schema can describe is refused here, when the handler is registered.
"""

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from msgspec import inspect as mi

from millstream.errors import HandlerError
from millstream.payloads.models import is_model, model_schema
from millstream.payloads.pattern_translator import PatternError, translate
from millstream.payloads.schema_keywords import Schema, binary, bounds, default, lengths, moment, positions
from millstream.payloads.type_names import class_name, doc_of, numbered, shown_name
from millstream.payloads.type_reader import (
    effective_members,
    enum_values,
    is_hashable,
    is_tagged_object,
    key_names,
    repeated_member,
    unwrapped,
)
from millstream_contracts import SECRET_KEYWORD

MAX_KEY_DIGITS = 20
"""Characters of an integer as a key, enough for 64 bits."""


def write_schema(info: mi.Type, *, is_result: bool = False) -> Schema:
    """Return the schema of a payload's type. Raises: HandlerError, which names the field and the type."""
    writer = _Writer(is_result=is_result)
    schema = writer.write(info)
    return {**schema, "$defs": writer.definitions} if writer.definitions else schema


class _Writer:
    """Writes one schema with its definitions."""

    def __init__(self, *, is_result: bool) -> None:
        self._is_result = is_result
        self.definitions: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}
        self._field = ""
        self._write: dict[type, Callable[[Any], Schema]] = {
            mi.AnyType: lambda _: {},
            mi.RawType: self._raw,
            mi.NoneType: lambda _: {"type": "null"},
            mi.BoolType: lambda _: {"type": "boolean"},
            mi.IntType: lambda info: {"type": "integer", **bounds(info)},
            mi.FloatType: lambda info: {"type": "number", **bounds(info)},
            mi.StrType: self._text,
            mi.DateTimeType: lambda info: moment("date-time", tz=info.tz),
            mi.TimeType: lambda info: moment("time", tz=info.tz),
            mi.DateType: lambda _: {"type": "string", "format": "date"},
            mi.TimeDeltaType: lambda _: {"type": "string", "format": "duration"},
            mi.UUIDType: lambda _: {"type": "string", "format": "uuid"},
            mi.DecimalType: lambda _: {"type": ["string", "number"], "format": "decimal"},
            mi.LiteralType: lambda info: {"enum": list(info.values)},
            mi.TupleType: self._tuple,
            mi.DictType: self._dict,
            mi.UnionType: self._union,
            **dict.fromkeys((mi.BytesType, mi.ByteArrayType, mi.MemoryViewType), binary),
            **dict.fromkeys((mi.ListType, mi.VarTupleType), self._list),
            **dict.fromkeys((mi.SetType, mi.FrozenSetType), self._set),
            **dict.fromkeys((mi.StructType, mi.DataclassType, mi.TypedDictType, mi.EnumType), self._reference),
            mi.NamedTupleType: self._reference,
            mi.FrozenDictType: self._dict,
            mi.CustomType: self._custom,
        }

    def write(self, info: mi.Type) -> Schema:
        """Return the schema of a type. Raises: HandlerError."""
        extra: Schema = {}
        while isinstance(info, mi.Metadata):
            extra |= info.extra_json_schema or {}
            info = info.type
        if "pattern" in extra:
            extra["pattern"] = self._pattern(extra["pattern"])
        if isinstance(info, mi.UnionType) and len(members := effective_members(info)) == 1:
            return extra | self.write(members[0])
        write = self._write.get(type(unwrapped(info)))
        if write is None:
            raise self._refusal(f"{shown_name(info)} has no schema: no JSON can become one")
        return extra | write(info)

    def _refusal(self, why: str) -> HandlerError:
        where = f"field `{self._field}`: " if self._field else ""
        return HandlerError(f"cannot be checked: {where}{why}")

    def _pattern(self, pattern: str) -> str:
        try:
            return translate(pattern).pattern
        except (PatternError, re.error) as error:
            raise self._refusal(f"the pattern {pattern!r} cannot be checked at submission: {error}") from None

    def _text(self, info: mi.StrType) -> Schema:
        schema = {"type": "string", **lengths(info, "Length")}
        return schema if info.pattern is None else {**schema, "pattern": self._pattern(info.pattern)}

    def _raw(self, info: mi.RawType) -> Schema:
        if self._is_result:
            raise self._refusal(f"{shown_name(info)} cannot be encoded as a part of a result: use Any")
        return {}

    def _custom(self, info: mi.CustomType) -> Schema:
        if issubclass(info.cls, PurePath):
            return {"type": "string", "format": "path"}
        if not is_model(info.cls):
            raise self._refusal(f"{shown_name(info)} has no schema: no JSON can become one")
        name = self._names.get(info.cls)
        if name is None:
            name = self._names[info.cls] = self._free_name(info.cls)
            self.definitions[name], others = model_schema(info.cls, name, is_result=self._is_result)
            self.definitions |= others
        return {"$ref": f"#/$defs/{name}"}

    def _list(self, info: mi.CollectionType) -> Schema:
        items = self.write(info.item_type)
        return {"type": "array", **({"items": items} if items else {}), **lengths(info, "Items")}

    def _set(self, info: mi.CollectionType) -> Schema:
        # No `uniqueItems`: the decoder accepts duplicates, and a set drops them.
        if isinstance(unwrapped(info.item_type), mi.AnyType):
            scalars = {"type": ["string", "number", "boolean", "null"]}
            return {"type": "array", "items": scalars, **lengths(info, "Items")}
        if not is_hashable(info.item_type):
            raise self._refusal(f"a set of {shown_name(info.item_type)} cannot be made: such items have no hash")
        return self._list(info)

    def _tuple(self, info: mi.TupleType) -> Schema:
        count = len(info.item_types)
        schema: Schema = {"type": "array", "minItems": count, "maxItems": count}
        if count:
            schema |= {"prefixItems": [self.write(item) for item in info.item_types], "items": False}
        return schema

    def _dict(self, info: mi.DictType) -> Schema:
        schema: Schema = {"type": "object"}
        if names := self._keys(info.key_type):
            schema["propertyNames"] = names
        if values := self.write(info.value_type):
            schema["additionalProperties"] = values
        return schema | lengths(info, "Properties")

    def _keys(self, info: mi.Type) -> Schema:
        """Return the schema of the keys of an object, which are text in JSON."""
        plain = unwrapped(info)
        if isinstance(info, mi.Metadata) and SECRET_KEYWORD in (info.extra_json_schema or {}):
            raise self._refusal("a key of an object cannot be secret: keys are shown, and only values are masked")
        match plain:
            case mi.AnyType():
                return {}
            case mi.IntType() if not bounds(plain):
                return {"pattern": "^-?(0|[1-9][0-9]*)$", "maxLength": MAX_KEY_DIGITS}
            case mi.EnumType() | mi.LiteralType():
                if names := key_names(plain):
                    return {"enum": names}
            case mi.BytesType() if self._is_result:
                raise self._refusal("a result cannot have `bytes` as keys: msgspec does not encode them")
            case (
                mi.StrType() | mi.DateTimeType() | mi.TimeType() | mi.DateType() | mi.TimeDeltaType()
                | mi.UUIDType() | mi.DecimalType() | mi.BytesType()
            ):  # fmt: skip
                schema = self.write(info)
                schema.pop("type")
                return schema
        raise self._refusal(f"the keys of an object are text, and {shown_name(plain)} as a key cannot be said of text")

    def _union(self, info: mi.UnionType) -> Schema:
        members = effective_members(info)
        if twice := repeated_member(members):
            raise self._refusal(f"a union has {shown_name(twice)} twice, and which bounds hold cannot be said")
        tagged = [member for member in members if is_tagged_object(member)]
        if len(tagged) < 2:
            return {"anyOf": [self.write(member) for member in members]}
        options = [self.write(member) for member in members if not is_tagged_object(member)]
        among = self._tagged_union(tagged)
        return {"anyOf": [*options, among]} if options else among

    def _tagged_union(self, members: list[mi.Type]) -> Schema:
        structs: list[Any] = [unwrapped(member) for member in members]
        field = structs[0].tag_field
        # In a union the tag is required; elsewhere the decoder accepts an object without it.
        options = [self.write(member) | {"required": [field]} for member in members]
        mapping = {str(struct.tag): option["$ref"] for struct, option in zip(structs, options, strict=True)}
        return {"anyOf": options, "discriminator": {"propertyName": field, "mapping": mapping}}

    def _reference(self, info: Any) -> Schema:
        name = self._names.get(info.cls)
        if name is None:
            name = self._names[info.cls] = self._free_name(info.cls)
            self.definitions[name] = {}  # reserved for a type that contains itself
            self.definitions[name] |= self._definition(info)
        return {"$ref": f"#/$defs/{name}"}

    def _free_name(self, cls: Any) -> str:
        plain, full = class_name(cls), f"{cls.__module__}.{cls.__qualname__}"
        names = (re.sub(r"[^a-zA-Z0-9.\-_]", "_", name) for name in numbered(plain, full))
        return next(name for name in names if name not in self.definitions)

    def _definition(self, info: Any) -> Schema:
        schema: Schema = {"title": class_name(info.cls)}
        if doc := doc_of(info.cls):
            schema["description"] = doc
        if isinstance(info, mi.EnumType):
            values = enum_values(info.cls)
            if values is None:
                raise self._refusal(f"{shown_name(info)} has too many combinations of flags for a schema: take an int")
            return schema | {"enum": values}
        names, fields, required = self._fields(info)
        if isinstance(info, mi.NamedTupleType) or getattr(info, "array_like", False):
            return schema | positions(info, fields)
        closed = {"additionalProperties": False} if getattr(info, "forbid_unknown_fields", False) else {}
        properties = dict(zip(names, fields, strict=True))
        return schema | {"type": "object", "properties": properties, "required": required} | closed

    def _fields(self, info: Any) -> tuple[list[str], list[Schema], list[str]]:
        """Return the names and the schemas of the fields of a class, and the names of required fields."""
        names, fields, required = [], [], []
        if (tag := getattr(info, "tag", None)) is not None:
            names.append(info.tag_field)
            fields.append({"enum": [tag]})
        outer = self._field
        for field in info.fields:
            self._field = f"{class_name(info.cls)}.{field.name}"
            names.append(field.encode_name)
            schema = self.write(field.type)
            # The default of a secret is one as well.
            fields.append(schema if SECRET_KEYWORD in schema else schema | default(field))
            if field.required:
                required.append(field.encode_name)
        self._field = outer
        return names, fields, required
