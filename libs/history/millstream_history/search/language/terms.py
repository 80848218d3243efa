"""The parts of a query, as they were written, each with its place in the text."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from millstream_history.search.language.fields import Field

MAX_QUOTED_CHARS = 40

Operator = Literal[":", ">", ">=", "<", "<="]
"""How a field is compared. `=` is `:`, and `!=` is `:` in a negated term."""


class Value(Struct, frozen=True):
    """One value of a term."""

    text: str
    """Without quotes and escapes."""
    is_quoted: bool = False
    """Whether it is text and nothing else: no pattern, no range, no number."""
    position: int = 0
    end: int = 0

    @property
    def is_pattern(self) -> bool:
        """Whether a `*` in it stands for any text."""
        return not self.is_quoted and "*" in self.text


class Term(Struct, frozen=True, kw_only=True):
    """One condition on a field; a value of several is enough."""

    field: Field
    path: tuple[str, ...] = ()
    """Keys below `payload`, `result` or `tag`."""
    operator: Operator = ":"
    values: Sequence[Value]
    is_negated: bool = False
    position: int = 0
    end: int = 0


def quotable(text: str) -> str:
    """Return a part of a query as errors quote it."""
    return text if len(text) <= MAX_QUOTED_CHARS else text[:MAX_QUOTED_CHARS] + "…"
