"""Finds where a JSON Schema marks values as secret, and masks them in a value of that schema."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

SECRET_KEYWORD = "x-secret"  # noqa: S105 - a keyword of a schema
"""Marks a value as secret in the schemas that the SDK writes. `writeOnly` and the format `password` mean the same."""

MASK = "***"
"""What is shown in the place of a secret value. Null is shown as it is: that a value is missing tells nothing."""

SECRETS_HEADER = "Millstream-Secrets"
"""The header of a request that wants secret values masked in its answer."""
MASKED = "masked"
"""Its one value."""

MAX_DEPTH = 128
"""A value that is nested deeper is masked as a whole."""

_MARKS = (b'"x-secret"', b'"writeOnly"', b'"password"')
_MERGED = ("allOf", "anyOf", "oneOf")
_APPLIED = ("if", "then", "else", "not")


@dataclass(eq=False, slots=True)
class SecretPlaces:
    """One place of a schema: whether it is secret, and the places below it. Places may contain themselves."""

    is_secret: bool = False
    named: dict[str, "SecretPlaces"] = field(default_factory=dict)
    """Below an object, by name."""
    any_named: list["SecretPlaces"] = field(default_factory=list)
    """Below an object, for every name that `named` does not have."""
    placed: list["SecretPlaces"] = field(default_factory=list)
    """Below an array, by position."""
    items: list["SecretPlaces"] = field(default_factory=list)
    """Below an array, for every position that `placed` does not have."""
    also: list["SecretPlaces"] = field(default_factory=list)
    """Further descriptions of the same place. What one of them marks is secret."""

    def masked(self, value: Any) -> Any:
        """Return a value with :data:`MASK` in each secret place; what has none is returned as it is."""
        return _masked(value, _all_of([self]), 0)

    def secrets_in(self, value: Any) -> Iterator[Any]:
        """Yield the values in secret places."""
        yield from _secrets(value, _all_of([self]), 0)

    def masks_in(self, value: Any) -> list[list[str | int]]:
        """Return the paths of secret places that hold :data:`MASK` in place of a value."""
        return list(_masks(value, _all_of([self]), []))

    def covers(self, path: Iterable[str]) -> bool:
        """Return whether a path of names and positions leads to a secret place, or below one.

        A name that fits no member stands for one of an item of a list: a search names no positions.
        """
        places = _all_of([self])
        for step in path:
            if any(place.is_secret for place in places):
                return True
            places = _all_of([*_below(places, step), *_below_items(places, step)])
        return any(place.is_secret for place in places)

    def masked_at(self, path: Sequence[str], value: Any) -> Any:
        """Return the value at a path as :meth:`masked` does."""
        places = _all_of([self])
        for step in path:
            if any(place.is_secret for place in places):
                return value if value is None else MASK
            places = _all_of([*_below(places, step), *_below_items(places, step)])
        return _masked(value, places, 0)


_EVERYTHING = SecretPlaces(is_secret=True)


def secret_places(schema: Mapping[str, Any] | None) -> SecretPlaces | None:
    """Return where a schema marks values as secret; None where nowhere.

    Of a schema that cannot be read everything is secret, because a mark may be in it.
    """
    if schema is None:
        return None
    try:
        text = msgspec.json.encode(schema)
        if not any(word in text for word in _MARKS):
            return None
        reader = _Reader(schema)
        root = reader.read(schema)
    except (RecursionError, TypeError, AttributeError, ValueError):
        return _EVERYTHING
    return root if any(place.is_secret for place in reader.places) else None


class _Reader:
    """Reads the places of one schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._referred: dict[str, SecretPlaces] = {}
        self.places: list[SecretPlaces] = []

    def read(self, schema: Any) -> SecretPlaces:
        """Return the place that a schema describes."""
        place = SecretPlaces()
        self.places.append(place)
        return self._fill(place, schema)

    def _fill(self, place: SecretPlaces, schema: Any) -> SecretPlaces:
        if not isinstance(schema, Mapping):
            return place
        is_marked = schema.get(SECRET_KEYWORD) is True or schema.get("writeOnly") is True
        place.is_secret = is_marked or schema.get("format") == "password"
        place.named = {name: self.read(one) for name, one in schema.get("properties", {}).items()}
        for word in ("additionalProperties", "unevaluatedProperties"):
            place.any_named += self._read_each(schema.get(word))
        # Patterns are of another engine: what one of them marks is secret under every name that has no schema.
        place.any_named += map(self.read, schema.get("patternProperties", {}).values())
        items = schema.get("items")
        place.placed = [self.read(one) for one in schema.get("prefixItems", items if _is_list(items) else ())]
        for word in ("items", "additionalItems", "unevaluatedItems", "contains"):
            place.items += self._read_each(schema.get(word))
        place.also = [*self._described_also(schema), *self._read_referred(schema)]
        return place

    def _described_also(self, schema: Mapping[str, Any]) -> Iterator[SecretPlaces]:
        for word in _MERGED:
            yield from map(self.read, schema.get(word, ()))
        for word in _APPLIED:
            yield from self._read_each(schema.get(word))
        yield from map(self.read, schema.get("dependentSchemas", {}).values())

    def _read_each(self, schema: Any) -> list[SecretPlaces]:
        return [self.read(schema)] if isinstance(schema, Mapping) else []

    def _read_referred(self, schema: Mapping[str, Any]) -> Iterator[SecretPlaces]:
        for word in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(reference := schema.get(word), str):
                yield self._refer(reference)

    def _refer(self, reference: str) -> SecretPlaces:
        """Return the place that a reference names, once for all references: a type may contain itself."""
        if reference not in self._referred:
            place = self._referred[reference] = SecretPlaces()
            self.places.append(place)
            found = self._found(reference)
            if found is None:
                place.is_secret = True  # nothing is known of it
            else:
                self._fill(place, found)
        return self._referred[reference]

    def _found(self, reference: str) -> Any:
        """Return the schema that a reference of this document names; None for any other."""
        if not reference.startswith("#"):
            return None
        found: Any = self._root
        for step in reference[1:].split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(name)
            elif _is_list(found) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return None if reference != "#" and "/" not in reference else found


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _all_of(places: Iterable[SecretPlaces]) -> list[SecretPlaces]:
    """Return places with all that describe them too."""
    found: list[SecretPlaces] = []
    seen: set[int] = set()
    pending = list(places)
    while pending:
        place = pending.pop()
        if id(place) not in seen:
            seen.add(id(place))
            found.append(place)
            pending += place.also
    return found


def _below(places: list[SecretPlaces], name: str) -> list[SecretPlaces]:
    """Return the places of a member of an object."""
    return [one for place in places for one in ([place.named[name]] if name in place.named else place.any_named)]


def _at(places: list[SecretPlaces], position: int) -> list[SecretPlaces]:
    """Return the places of an item of an array."""
    return [
        one for place in places for one in ([place.placed[position]] if position < len(place.placed) else place.items)
    ]


def _below_items(places: list[SecretPlaces], step: str) -> list[SecretPlaces]:
    """Return the places of a step that is a position, or that is a name of any item."""
    if step.isdecimal():
        return _at(places, int(step))
    items = _all_of([one for place in places for one in (*place.placed, *place.items)])
    return _below(items, step) if items else []


def _children(value: Any, places: list[SecretPlaces]) -> Iterator[tuple[Any, Any, list[SecretPlaces]]]:
    """Yield the members or items of a value, each with its key and its places."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield key, one, _all_of(_below(places, key if isinstance(key, str) else str(key)))
    elif _is_list(value):
        for position, one in enumerate(value):
            yield position, one, _all_of(_at(places, position))


def _masked(value: Any, places: list[SecretPlaces], depth: int) -> Any:
    if not places or value is None:
        return value
    if depth > MAX_DEPTH or any(place.is_secret for place in places):
        return MASK
    children = ((key, _masked(one, below, depth + 1)) for key, one, below in _children(value, places))
    if isinstance(value, dict):
        return dict(children)
    return [one for _, one in children] if _is_list(value) else value


def _secrets(value: Any, places: list[SecretPlaces], depth: int) -> Iterator[Any]:
    if not places or value is None or depth > MAX_DEPTH:
        return
    if any(place.is_secret for place in places):
        yield value
        return
    for _, one, below in _children(value, places):
        yield from _secrets(one, below, depth + 1)


def _masks(value: Any, places: list[SecretPlaces], path: list[str | int]) -> Iterator[list[str | int]]:
    if not places or len(path) > MAX_DEPTH:
        return
    if any(place.is_secret for place in places):
        if value == MASK:
            yield path
        return
    for key, one, below in _children(value, places):
        yield from _masks(one, below, [*path, key])
