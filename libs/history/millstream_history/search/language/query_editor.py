"""Adds a condition to the text of a query, or takes it out of it, and leaves the rest as it was written."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from millstream_history.errors import QueryError
from millstream_history.search.language.query_parser import MAX_VALUE_CHARS, parse_query
from millstream_history.search.language.terms import Term, Value
from millstream_history.search.language.writing import written_key, written_value


class Toggled(Struct, frozen=True):
    """A query after a change."""

    q: str | None
    """None where no query can say that."""
    was_there: bool
    """Whether the condition was there, and is taken out."""


class QueryEditor:
    """Changes one query, which must be a valid one."""

    def __init__(self, q: str) -> None:
        self._q = q
        self._terms = parse_query(q)

    def toggled(self, field: str, value: str, key: str | None = None) -> Toggled:
        """Return the query with the condition that a field, or a tag, has a value; without it, if it has one.

        A value that stands with others, as in `state:dead,expired`, is taken out of them. One that is not there takes
        the place of those that are: `state:dead` becomes `state:expired`, since no job has both.
        """
        cuts = list(self._cuts(field, value, key))
        if not cuts:
            name = field if key is None else f"{field}.{written_key(key)}"
            return Toggled(
                self._with(self.without(field, key), f"{name}:{written_value(value)}", value), was_there=False
            )
        return Toggled(self._cut(cuts), was_there=True)

    def without(self, field: str, key: str | None = None) -> str:
        """Return the query without its conditions on a field, or a tag. What it excludes stays excluded."""
        return self._cut([self._whole(term) for term in self._terms if _is_about(term, field, key)])

    def has(self, field: str, key: str | None = None) -> bool:
        """Whether the query has a condition on a field, or a tag, that :meth:`without` takes out."""
        return any(_is_about(term, field, key) for term in self._terms)

    @property
    def tags(self) -> Sequence[str]:
        """Return the tags on which the query has a condition, as they come."""
        keys = [term.path[0] for term in self._terms if term.field.name == "tag" and len(term.path) == 1]
        return [key for key in dict.fromkeys(keys) if self.has("tag", key)]

    def _cut(self, cuts: Sequence[tuple[int, int]]) -> str:
        text = self._q
        for begin, end in sorted(cuts, reverse=True):
            text = text[:begin] + text[end:]
        return text.strip() if cuts else text

    @staticmethod
    def _with(rest: str, condition: str, value: str) -> str | None:
        changed = f"{rest.strip()} {condition}".strip()
        if len(value) > MAX_VALUE_CHARS:
            return None
        try:
            parse_query(changed)
        except QueryError:
            return None
        return changed

    def _cuts(self, field: str, value: str, key: str | None) -> Iterator[tuple[int, int]]:
        for term in self._terms:
            if not _is_about(term, field, key):
                continue
            named = [one for one in term.values if one.text == value and not one.is_pattern]
            if len(named) == len(term.values):
                yield self._whole(term)
            else:
                yield from (self._with_comma(term, one) for one in named)

    def _whole(self, term: Term) -> tuple[int, int]:
        """Return the place of a term, with the spaces behind it."""
        rest = self._q[term.end :]
        return term.position, term.end + len(rest) - len(rest.lstrip(" "))

    def _with_comma(self, term: Term, value: Value) -> tuple[int, int]:
        """Return the place of one value of several, with the comma that goes with it."""
        is_first = value.position == term.values[0].position
        return (value.position, value.end + 1) if is_first else (value.position - 1, value.end)


def _is_about(term: Term, field: str, key: str | None) -> bool:
    is_same = term.field.name == field and (key is None or term.path == (key,))
    return is_same and term.operator == ":" and not term.is_negated
