"""Turns terms about tags, payloads and results into conditions, in words that the GIN indexes know.

`@>` and `@@` are those words. A jsonpath looks into arrays by itself; its keys and values are JSON, and the whole of it
is a parameter.
"""

import re

import msgspec
from msgspec import Struct

from millstream_history.errors import QueryError
from millstream_history.search.language.filters import Filter, any_of, is_prefix, like_patterns
from millstream_history.search.language.terms import Term, Value, quotable
from millstream_history.search.statement import Fragment

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?", re.ASCII)


def tag_condition(term: Term) -> Filter:
    """Return the condition on a tag."""
    [key] = term.path
    if any(value.is_pattern and value.text == "*" for value in term.values):
        return Filter(Fragment("tags ? {}::text", (key,)))
    whole = [value for value in term.values if not value.is_pattern]
    patterns = like_patterns([value for value in term.values if value.is_pattern])
    parts = [Fragment("tags @> {}::jsonb", (_json({key: value.text}),)) for value in whole]
    parts += [Fragment("tags->>{}::text LIKE ANY({}::text[])", (key, patterns))] if patterns else []
    return Filter(any_of(parts), None if patterns else "tags")


def json_condition(term: Term) -> Filter:
    """Return the condition that any value at a path fits, also one inside an array. Raises: QueryError."""
    column, path = term.field.column, "$" + "".join("." + _json(key) for key in term.path)
    if term.operator != ":":
        return Filter(Fragment(f"{column} @@ {{}}::jsonpath", (f"{path} {term.operator} {_compared(term)}",)))
    if any(value.is_pattern and value.text == "*" for value in term.values):
        return Filter(Fragment(f"{column} @? {{}}::jsonpath", (path,)))
    tests = [_JsonTest.of(path, value) for value in term.values]
    is_helped = column == "payload" and all(test.is_equality for test in tests)
    expression = " || ".join(test.expression for test in tests)
    return Filter(Fragment(f"{column} @@ {{}}::jsonpath", (expression,)), "payload" if is_helped else None)


class _JsonTest(Struct, frozen=True):
    """A test of a value in a jsonpath."""

    expression: str
    is_equality: bool = False

    @classmethod
    def of(cls, path: str, value: Value) -> "_JsonTest":
        """Return the test for one value of a term. Raises: QueryError."""
        if value.is_quoted:
            return cls(f"{path} == {_json(value.text)}", is_equality=True)
        if value.is_pattern:
            if not is_prefix(value):
                raise QueryError("a value takes a `*` at its end only", value.position, value.end)
            return cls(f"{path} starts with {_json(value.text[:-1])}")
        begin, dots, end = value.text.partition("..")
        bounds = [(sign, bound) for sign, bound in ((">=", begin), ("<=", end)) if bound]
        if dots and bounds and all(_NUMBER.fullmatch(bound) for _, bound in bounds):
            # Of an array one element has to keep both bounds.
            both = " && ".join(f"@ {sign} {bound}" for sign, bound in bounds)
            return cls(f"exists({path} ? ({both}))")
        tests = [f"{path} == {_json(value.text)}"]
        if _NUMBER.fullmatch(value.text) or value.text in {"true", "false", "null"}:
            tests.append(f"{path} == {value.text}")
        return cls(" || ".join(tests), is_equality=True)


def _compared(term: Term) -> str:
    value = term.values[0]
    if len(term.values) > 1:
        other = term.values[1]
        raise QueryError(f"one value comes after `{term.operator}`", other.position, other.end)
    if value.is_quoted or not _NUMBER.fullmatch(value.text):
        raise QueryError(f"`{quotable(value.text)}` is no number", value.position, value.end, "like >5")
    return value.text


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
