"""Writes settings as a page: each variable with its default, its bounds and its meaning.

The meaning is the docstring under the field. It is read from the source, because it does not exist at run time.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from millstream_runtime.settings.kinds import allowed, kind_of
from millstream_runtime.settings.reader import variables_of
from millstream_runtime.settings.service_settings import Settings


class Section(Struct, frozen=True):
    """A section of the page: the fields that one Struct adds to those that it inherits."""

    title: str
    text: str
    kind: type[Settings]


def settings_page(head: str, sections: Sequence[Section]) -> str:
    """Return the page, in Markdown."""
    names = {field.name for section in sections for field in msgspec.structs.fields(section.kind)}
    return "\n".join([head, *(_section(section, names) for section in sections)])


def meanings(kind: type[Settings]) -> dict[str, str]:
    """Return the docstrings of the fields that a Struct does not inherit, each as one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _section(section: Section, names: set[str]) -> str:
    own = section.kind.__annotations__
    texts, hints = meanings(section.kind), get_type_hints(section.kind, include_extras=True)
    fields = [field for field in msgspec.structs.fields(section.kind) if field.name in own]
    rows = [_row(field, hints[field.name], texts[field.name], names) for field in fields]
    head = ("| variable | default | may be | meaning |", "|---|---|---|---|")
    return "\n".join([f"## {section.title}", "", section.text, "", *head, *rows, ""])


def _row(field: msgspec.structs.FieldInfo, hint: Any, text: str, names: set[str]) -> str:
    variable, *with_file = variables_of(field.name)
    both = f"`{variable}`" + ", `_FILE`" * len(with_file)
    cells = (both, _default(field.default), allowed(kind_of(hint)), _with_variables(text, names))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(value: object) -> str:
    match value:
        case bool():
            return "`true`" if value else "`false`"
        case None:
            return "unset"
        case "" | ():
            return "empty"
        case int() | float():
            return f"`{value:.12g}`"
        case str() | Path():
            return f"`{value}`"
        case tuple():
            return f"`{','.join(map(str, value))}`"
        case _:
            raise TypeError(f"how is {value!r} written as a default?")


def _with_variables(text: str, names: set[str]) -> str:
    """Replace the names of fields in a text by their variables."""
    return re.sub(r"`(\w+)`", lambda match: f"`{variables_of(match[1])[0]}`" if match[1] in names else match[0], text)
