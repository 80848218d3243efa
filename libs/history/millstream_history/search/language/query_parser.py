"""Reads a query into terms: all of them must hold, and of the values of one term any.

There are no parentheses and no OR between fields, so that what a query costs can be told from its terms.
"""

import difflib
import re

from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, queue_of
from millstream_history.errors import QueryError
from millstream_history.search.language.fields import ALIASES, FIELDS, Field, FieldKind
from millstream_history.search.language.terms import Operator, Term, Value, quotable

MAX_QUERY_CHARS = 1_000
MAX_TERMS = 20
MAX_VALUES = 50
MAX_VALUE_CHARS = 256
MAX_PATH_DEPTH = 8
LEAST_TEXT_CHARS = 3
"""Of text that is looked for anywhere: no index helps with fewer."""

_COMMA_FORM = "all conditions must hold; several values of one field have a comma between them: state:dead,expired"
_OPERATORS = ("!=", ">=", "<=", ">", "<", ":", "=")
_COMPARISONS = (">=", "<=", ">", "<")
_SEGMENT = r'(?:[\w$@/-]+|"(?:[^"\\]|\\.)*")'
_NAME = re.compile(rf"[A-Za-z_][\w-]*(?:\.{_SEGMENT})*")
_SEGMENTS = re.compile(rf"\.({_SEGMENT})")
_WORD = re.compile(r"(AND|OR|NOT)(?!\S)")
_BARE = re.compile(r'(?:[^\s,"\\()]|\\.)+')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def parse_query(text: str) -> list[Term]:
    """Return the terms of a query. Raises: QueryError."""
    _check_characters(text)
    return _Parser(text).terms()


def _check_characters(text: str) -> None:
    if len(text) > MAX_QUERY_CHARS:
        raise QueryError(f"it is longer than {MAX_QUERY_CHARS:,} characters", MAX_QUERY_CHARS, len(text))
    for place, character in enumerate(text):
        code = ord(character)
        if (code < ord(" ") and character != "\t") or code == 0x7F:
            raise QueryError("a control character is not allowed", place, place + 1)
        if 0xD800 <= code <= 0xDFFF:
            raise QueryError("half of a surrogate pair is no character", place, place + 1)


class _Parser:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def terms(self) -> list[Term]:
        """Return all terms."""
        found: list[Term] = []
        while self._skip_to_term():
            if len(found) == MAX_TERMS:
                raise self._error(f"it has more than {MAX_TERMS} conditions", self._at, len(self._text))
            found.append(self._term())
        return found

    def _skip_to_term(self) -> bool:
        while True:
            self._skip_spaces()
            if word := _WORD.match(self._text, self._at):
                if word[1] == "OR":
                    raise self._error("`OR` is not supported", self._at, word.end(), _COMMA_FORM)
                if word[1] == "AND":
                    self._at = word.end()
                    continue
            return self._at < len(self._text)

    def _term(self) -> Term:
        start = self._at
        is_negated = self._negation()
        if self._next() in {"(", ")"}:
            raise self._error("parentheses are not supported", self._at, self._at + 1, _COMMA_FORM)
        name = _NAME.match(self._text, self._at)
        operator = self._operator_at(name.end()) if name else None
        term = self._text_term(start) if name is None or operator is None else self._field_term(start, name, operator)
        if is_negated:
            term = replace(term, is_negated=not term.is_negated)
        if self._next().strip() and self._next() not in {"(", ")"}:
            raise self._error(
                "a space is missing before it", self._at, self._at + 1, "text with a quote: put \\ before it"
            )
        return term

    def _negation(self) -> bool:
        if word := _WORD.match(self._text, self._at):
            start, self._at = self._at, word.end()
            self._skip_spaces()
            if word[1] != "NOT" or not self._next():
                raise self._error(f"`{word[1]}` has nothing after it", start, word.end())
            return True
        if self._next() == "-" and self._text[self._at + 1 : self._at + 2].strip():
            self._at += 1
            return True
        return False

    def _operator_at(self, place: int) -> str | None:
        return next((one for one in _OPERATORS if self._text.startswith(one, place)), None)

    def _field_term(self, start: int, name: re.Match[str], operator: str) -> Term:
        field, path = self._field(name)
        self._at = name.end() + len(operator)
        # `run:>5s` is `run>5s`.
        if operator in {":", "="}:
            operator = ":"
            if comparison := next((one for one in _COMPARISONS if self._text.startswith(one, self._at)), None):
                operator = comparison
                self._at += len(comparison)
        values = self._values()
        is_negated = operator == "!="
        kept: Operator = ":" if is_negated else operator  # type: ignore[assignment]
        return Term(
            field=field,
            path=path,
            operator=kept,
            values=values,
            is_negated=is_negated,
            position=start,
            end=self._at,
        )

    def _field(self, name: re.Match[str]) -> tuple[Field, tuple[str, ...]]:
        head = name[0].partition(".")[0]
        field = FIELDS.get(ALIASES.get(head, head))
        if field is not None and field.has_path:
            return field, self._path(field, name)
        whole = FIELDS.get(ALIASES.get(name[0], name[0]))
        if whole is None:
            raise self._error(
                f"there is no field `{quotable(name[0])}`", name.start(), name.end(), _nearest_field(name[0])
            )
        return whole, ()

    def _path(self, field: Field, name: re.Match[str]) -> tuple[str, ...]:
        segments = [_unquoted(segment) for segment in _SEGMENTS.findall(name[0])]
        if not segments:
            raise self._error(f"`{field.name}` needs a key", name.start(), name.end(), f"like {field.example}")
        if len(segments) > MAX_PATH_DEPTH:
            raise self._error(f"a path has at most {MAX_PATH_DEPTH} keys", name.start(), name.end())
        if any(len(segment) > MAX_VALUE_CHARS for segment in segments):
            raise self._error(f"a key has at most {MAX_VALUE_CHARS} characters", name.start(), name.end())
        # The keys of tags may have dots, and have nothing below them.
        return (".".join(segments),) if field.kind is FieldKind.TAG else tuple(segments)

    def _text_term(self, start: int) -> Term:
        value = self._value()
        if queue_of(DEFAULT_TENANT, value.text) is not None:
            return Term(field=FIELDS["id"], values=(value,), position=start, end=self._at)
        if len(value.text) < LEAST_TEXT_CHARS:
            detail = f"text has at least {LEAST_TEXT_CHARS} characters"
            raise self._error(detail, value.position, value.end, "a condition is written field:value")
        return Term(field=FIELDS["error"], values=(value,), position=start, end=self._at)

    def _values(self) -> tuple[Value, ...]:
        values = [self._value()]
        while self._next() == ",":
            self._at += 1
            values.append(self._value())
            if len(values) > MAX_VALUES:
                raise self._error(f"a field has at most {MAX_VALUES} values", values[-1].position, values[-1].end)
        return tuple(values)

    def _value(self) -> Value:
        start = self._at
        is_quoted = self._next() == '"'
        text = self._quoted() if is_quoted else self._bare()
        if len(text) > MAX_VALUE_CHARS:
            raise self._error(f"a value has at most {MAX_VALUE_CHARS} characters", start, self._at)
        return Value(text, is_quoted, start, self._at)

    def _quoted(self) -> str:
        end = self._at + 1
        while self._text[end : end + 1] not in {'"', ""}:
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise self._error("a quote is not closed", self._at, len(self._text))
        inner, self._at = self._text[self._at + 1 : end], end + 1
        return _ESCAPED.sub(r"\1", inner)

    def _bare(self) -> str:
        bare = _BARE.match(self._text, self._at)
        if bare is None:
            hint = 'text with spaces goes in quotes: "a b"'
            raise self._error("a value is missing", self._at, self._at + 1, hint)
        self._at = bare.end()
        return _ESCAPED.sub(r"\1", bare[0])

    def _skip_spaces(self) -> None:
        while self._next().isspace():
            self._at += 1

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    @staticmethod
    def _error(detail: str, position: int, end: int, hint: str = "") -> QueryError:
        return QueryError(detail, position, end, hint)


def _unquoted(segment: str) -> str:
    return _ESCAPED.sub(r"\1", segment[1:-1]) if segment.startswith('"') else segment


def _nearest_field(name: str) -> str:
    if near := difflib.get_close_matches(name, [*FIELDS, *ALIASES], 1):
        return f"did you mean `{near[0]}`?"
    return f"text with a colon goes in quotes; values of the payload are payload.{quotable(name)}"
