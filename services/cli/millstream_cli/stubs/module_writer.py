"""Writes the module of contracts: enumerations, classes, and a contract for each job type."""

import re
from collections.abc import Iterable, Iterator

from millstream_cli.stubs.python_type import NULL, ClassField, EnumClass, StructClass, quoted
from millstream_cli.stubs.schema_reader import SchemaReader
from millstream_contracts import TypeRegistration

_IMPORTS = (
    ("datetime", ("date", "datetime", "time", "timedelta")),
    ("decimal", ("Decimal",)),
    ("enum", ("IntEnum", "StrEnum")),
    ("pathlib", ("Path",)),
    ("typing", ("Any", "Literal")),
    ("uuid", ("UUID",)),
    ("", ()),
    ("msgspec", ("UNSET", "Struct", "UnsetType", "field")),
    ("", ()),
    ("millstream", ("contract",)),
)
"""What the module may import, in groups with an empty line between them."""

_LINE_CHARS = 118


def write_module(registrations: Iterable[TypeRegistration]) -> str:
    """Return the text of a module with contracts of these job types."""
    reader = SchemaReader()
    contracts = [_contract(reader, one) for one in registrations]
    taken = frozenset({one.name for one in reader.enums} | {one.name for one in reader.classes})
    structs = (_struct(one, taken) for one in reversed(reader.classes))
    parts = [*map(_enum, reader.enums), *structs, *contracts]
    body = "\n\n\n".join(parts)
    head = '"""Contracts of job types, written by `millstream stubs`."""\n'
    return f"{head}\nfrom __future__ import annotations\n\n{_imports(body)}\n\n\n{body}\n" if parts else head


def _imports(body: str) -> str:
    # Strings may name types too; an import that is not needed does no harm to those who run the module.
    code = re.sub(r'"""(?:[^\\]|\\.)*?"""', "", body, flags=re.DOTALL)
    words = set(re.findall(r"\b[A-Za-z_]\w*\b", code))
    lines: list[str] = []
    for module, names in _IMPORTS:
        used = [name for name in names if name in words]
        if used:
            lines.append(f"from {module} import {', '.join(used)}")
        elif not module and lines and lines[-1]:
            lines.append("")
    return "\n".join(lines)


def _enum(enum: EnumClass) -> str:
    members = [f"    {name} = {quoted(value)}" for name, value in enum.members.items()]
    return "\n".join([f"class {enum.name}({enum.base}):", *_doc(enum.doc or f"{enum.name}."), "", *members])


def _struct(one: StructClass, taken: frozenset[str]) -> str:
    """Return a class. No field is named like a class of `taken`, which it would hide."""
    tag = "" if one.tag is None else f", tag_field={quoted(one.tag[0])}, tag={quoted(one.tag[1])}"
    head = f"class {one.name}(Struct, kw_only=True{tag}):"
    fields = [f"    {_field(field, taken)}" for field in one.fields]
    return "\n".join([head, *_doc(one.doc or f"{one.name}."), *([""] if fields else []), *fields])


def _field(one: ClassField, taken: frozenset[str]) -> str:
    name = f"{one.name}_" if one.name in taken else one.name
    options = [f"name={quoted(one.encoded)}"] if name != one.encoded else []
    default = one.default
    if default is not None and default.startswith("field("):
        options.append(default.removeprefix("field(").removesuffix(")"))
        default = None
    elif default is not None and options:
        options.append(f"default={default}")
    value = f"field({', '.join(options)})" if options else default
    return f"{name}: {one.type.text}" + (f" = {value}" if value is not None else "")


def _contract(reader: SchemaReader, one: TypeRegistration) -> str:
    takes = reader.read(one.payload_schema, f"{one.type} payload")
    gives = reader.read(one.result_schema, f"{one.type} result")
    name = reader.names.function_name(one.type)
    parameters = "" if takes == NULL else f"payload: {takes.text}"
    head = f"def {name}({parameters}) -> {gives.text}:"
    if len(head) > _LINE_CHARS:
        head = f"def {name}(\n    {parameters},\n) -> {gives.text}:"
    doc = one.description or f"Submit a job of the type `{one.type}`."
    return "\n".join([f"@contract({quoted(one.type)})", head, *_doc(doc), "    raise NotImplementedError"])


def _doc(text: str) -> Iterator[str]:
    """Yield a docstring, whatever the text has in it."""
    lines = [line.rstrip() for line in _quoted(text).strip().splitlines()] or [""]
    if len(lines) == 1:
        yield f'    """{lines[0]}"""'
        return
    yield f'    """{lines[0]}'
    yield from (f"    {line}" if line else "" for line in lines[1:])
    yield '    """'


def _quoted(text: str) -> str:
    """Return a text as it may stand in a docstring."""
    printable = "".join(one if one.isprintable() or one == "\n" else " " for one in text)
    escaped = printable.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'{escaped[:-1]}\\"' if escaped.endswith('"') else escaped
