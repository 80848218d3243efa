"""Finds the classes of a schema that a union tells apart by a tag: a field in which each has one value of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Tag = tuple[str, str | int]


def tags_of(root: Schema, definitions: Mapping[str, Any]) -> dict[str, Tag]:
    """Return the tags of the definitions that are members of unions, by the names of the definitions."""
    found: dict[str, Tag] = {}
    for union in _unions(root):
        names = [
            name for member in union if (name := _name_of(member)) in definitions and _is_object(definitions[name])
        ]
        field = _tag_field([definitions[name] for name in names])
        if len(names) > 1 and field is not None:
            for name in names:
                found.setdefault(name, (field, only_value(definitions[name]["properties"][field])))  # type: ignore[arg-type]
    return found


def own_tag(definition: Schema) -> Tag | None:
    """Return the tag of a class that no union needs: a field that has one value and may be left out."""
    if not _is_object(definition):
        return None
    for name, field in definition["properties"].items():
        value = only_value(field)
        if value is not None and "default" not in field and name not in definition.get("required", ()):
            return name, value
    return None


def only_value(schema: Any) -> str | int | None:
    """Return the one text or integer that a schema allows; None where it allows others too."""
    if not isinstance(schema, Mapping):
        return None
    values = schema.get("enum", [schema.get("const")])
    only = values[0] if len(values) == 1 else None
    return only if type(only) in {str, int} else None


def _tag_field(members: list[Schema]) -> str | None:
    """Return the field in which each of these objects has a value of its own."""
    if not members:
        return None
    for field in members[0]["properties"]:
        values = [only_value(member["properties"].get(field)) for member in members]
        if None not in values and len(set(values)) == len(values) and len({type(value) for value in values}) == 1:
            return str(field)
    return None


def _is_object(schema: Any) -> bool:
    return isinstance(schema, Mapping) and isinstance(schema.get("properties"), Mapping)


def _name_of(schema: Any) -> str:
    ref = schema.get("$ref", "") if isinstance(schema, Mapping) else ""
    return str(ref).removeprefix("#/$defs/")


def _unions(root: Any) -> Iterator[list[Any]]:
    """Yield the members of each union in a schema. A union within a union is a part of it."""
    pending = [root]
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            for keyword in ("anyOf", "oneOf"):
                if isinstance(one.get(keyword), list):
                    yield list(_flat(one[keyword]))
            pending += one.values()
        elif isinstance(one, list):
            pending += one


def _flat(members: list[Any]) -> Iterator[Any]:
    for member in members:
        inner = member.get("anyOf", member.get("oneOf")) if isinstance(member, Mapping) else None
        if isinstance(inner, list):
            yield from _flat(inner)
        else:
            yield member
