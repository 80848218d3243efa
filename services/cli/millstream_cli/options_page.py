"""Writes docs/handlers/options.md from the options of the SDK: `make docs`.

The meaning of an option is the docstring under its field.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator

from msgspec import Struct

from millstream import BatchOptions, Retry
from millstream.job_options import JobOptions
from millstream.jobs.submit_options import SubmitOptions
from millstream.schedules import ScheduleOptions

HEAD = """# Options

<!-- Written by `make docs` from the docstrings of the options. Change it there. -->

`Seconds` are a number of seconds or a `timedelta`. An option that there is not is refused, with the one that was
probably meant: for a handler when its module is imported and by `millstream check`, for a submission when it is made.
"""


class Section(Struct, frozen=True):
    """A section of the page: the fields of one class."""

    title: str
    text: str
    kind: type


class Option(Struct, frozen=True):
    """An option as the source has it."""

    name: str
    type: str
    default: str
    meaning: str


SECTIONS = (
    Section("A handler", 'Of `@app.job("order.charge", timeout=30)`.', JobOptions),
    Section(
        "A batch handler",
        'Of `@app.batch("event.index", size=500)`, which takes those of a handler too; '
        "[Batch handlers](batch-handlers.md) says more.",
        BatchOptions,
    ),
    Section("Retry", "Of `retry=Retry(max_attempts=3)`; [Retries](retries.md) has examples.", Retry),
    Section(
        "A submission",
        "Of `submit` and `submit_many` of clients, contexts and references. What is left out, or None, follows the "
        "policy of the job's type. `idempotency_key` stands beside them: [Idempotency](idempotency.md).",
        SubmitOptions,
    ),
    Section(
        "A schedule",
        "Of `@app.cron`, which takes the options of a handler too, of `.schedule()` and of `client.put_schedule`. "
        "[Schedules](schedules.md) has examples.",
        ScheduleOptions,
    ),
)


def options_page() -> str:
    """Return the text of docs/handlers/options.md."""
    return "\n".join([HEAD, *(_section(section) for section in SECTIONS)])


def options_of(kind: type) -> Iterator[Option]:
    """Yield the options that a class has, in the order of its source."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    for field, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            default = ast.unparse(field.value) if field.value else ""
            yield Option(field.target.id, ast.unparse(field.annotation), default, _docstring(below))


def _docstring(node: ast.AST | None) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
        case _:
            return ""


def _section(section: Section) -> str:
    options = list(options_of(section.kind))
    has_defaults = any(option.default for option in options)
    columns = ["option", "type", *(["default"] if has_defaults else []), "meaning"]
    rows = [_row(option, has_default=has_defaults) for option in options]
    head = (f"| {' | '.join(columns)} |", "|---" * len(columns) + "|")
    return "\n".join([f"## {section.title}", "", section.text, "", *head, *rows, ""])


def _row(option: Option, *, has_default: bool) -> str:
    default = [f"`{option.default}`"] if has_default else []
    cells = (f"`{option.name}`", f"`{option.type}`", *default, option.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(options_page(), end="")
