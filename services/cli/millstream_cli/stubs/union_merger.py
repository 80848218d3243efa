"""Makes one type of several, of which the decoder has to tell by the JSON which one is meant."""

from collections.abc import Callable, Iterable, Sequence

from millstream_cli.stubs.python_type import ANY, FLOAT, INT, MAPPING, NULL, TEXT, Kind, PythonType, quoted

_ORDER: tuple[Kind, ...] = ("bool", "int", "float", "text", "array", "object", "mapping", "null")


def merged(types: Iterable[PythonType]) -> PythonType:
    """Return a union. Members that the decoder could not tell apart become a wider type that has both."""
    members = list({member.text: member for one in types for member in one.each}.values())
    if not members or any(member.kind == "any" for member in members):
        return ANY
    of_kind: dict[Kind, list[PythonType]] = {}
    for member in members:
        of_kind.setdefault(member.kind, []).append(member)
    if "mapping" in of_kind and "object" in of_kind:
        of_kind["mapping"] = [MAPPING]
        del of_kind["object"]
    found = [one for kind in _ORDER if kind in of_kind for one in _MERGE.get(kind, list)(of_kind[kind])]
    # msgspec has no union of a path with anything but None.
    if len(found) > 2 or NULL not in found:
        found = [TEXT if one.text == "Path" and len(found) > 1 else one for one in found]
    if len(found) == 1:
        return found[0]
    return PythonType(" | ".join(one.text for one in found), found[0].kind, members=tuple(found))


def literal(values: Sequence[str | int]) -> PythonType:
    """Return the type of some values: texts, integers or booleans."""
    kind: Kind = "text" if isinstance(values[0], str) else "int"
    return PythonType(f"Literal[{', '.join(map(quoted, values))}]", kind, literals=tuple(values))


def _merge_scalars(widest: PythonType) -> Callable[[list[PythonType]], list[PythonType]]:
    def merge(types: list[PythonType]) -> list[PythonType]:
        if len(types) == 1:
            return types
        if all(one.literals for one in types):
            return [literal(list(dict.fromkeys(value for one in types for value in one.literals)))]
        return [widest]

    return merge


def _merge_arrays(types: list[PythonType]) -> list[PythonType]:
    return types if len(types) == 1 else [PythonType("list[Any]", "array")]


def _merge_objects(types: list[PythonType]) -> list[PythonType]:
    tags = [one.tag for one in types]
    fields = {tag[0] if tag else None for tag in tags}
    told_apart = None not in fields and len(fields) == 1 and len(set(tags)) == len(tags)
    return types if len(types) == 1 or told_apart else [MAPPING]


_MERGE: dict[Kind, Callable[[list[PythonType]], list[PythonType]]] = {
    "int": _merge_scalars(INT),
    "float": _merge_scalars(FLOAT),
    "text": _merge_scalars(TEXT),
    "array": _merge_arrays,
    "object": _merge_objects,
    "mapping": lambda types: types if len(types) == 1 else [MAPPING],
}
