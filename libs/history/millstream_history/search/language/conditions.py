"""Turns terms into conditions on the table `jobs`."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from millstream_contracts import JobState, Priority
from millstream_history.errors import QueryError
from millstream_history.search.language.fields import HAS, Field, FieldKind
from millstream_history.search.language.filters import (
    Condition,
    Filter,
    Key,
    any_of,
    fragment_of,
    is_prefix,
    like,
    matches,
)
from millstream_history.search.language.json_conditions import json_condition, tag_condition
from millstream_history.search.language.query_parser import LEAST_TEXT_CHARS
from millstream_history.search.language.terms import Term, Value, quotable
from millstream_history.search.language.value_readers import Span, span_of_lengths, span_of_numbers, span_of_times
from millstream_history.search.statement import Fragment

UNKNOWN = "unknown"
"""The outcome of a job whose end was not recorded: its events were lost, and Redis has forgotten it."""

OUTCOMES = frozenset({JobState.DEAD.value, JobState.CANCELLED.value, JobState.EXPIRED.value, UNKNOWN})
"""The states that the column `outcome` has: few jobs are in them."""

_MEANT: Mapping[str, JobState] = {
    "failed": JobState.DEAD,
    "failure": JobState.DEAD,
    "error": JobState.DEAD,
    "buried": JobState.DEAD,
    "done": JobState.SUCCEEDED,
    "success": JobState.SUCCEEDED,
    "completed": JobState.SUCCEEDED,
    "pending": JobState.QUEUED,
    "waiting": JobState.QUEUED,
    "active": JobState.RUNNING,
    "delayed": JobState.SCHEDULED,
    "discarded": JobState.CANCELLED,
}
"""What other systems call a state."""

_RUN_OF_WORD = re.compile(r"\w{3}")


def condition_of(term: Term, now: datetime) -> Condition:
    """Return the condition of a term that is about neither the type nor the range of time. Raises: QueryError."""
    compared = {FieldKind.NUMBER, FieldKind.DURATION, FieldKind.TIME, FieldKind.JSON}
    if term.operator != ":" and term.field.kind not in compared:
        detail = f"`{term.field.name}` cannot be compared by `{term.operator}`"
        raise QueryError(detail, term.position, term.end, f"like {term.field.example}")
    found = _READERS[term.field.kind](term, now)
    return _negated(found) if term.is_negated else found


def _negated(condition: Condition) -> Filter:
    # NULL is no value: `-worker:x` also finds jobs without a worker.
    fragment = fragment_of(condition)
    return Filter(Fragment(f"({fragment.sql}) IS NOT TRUE", fragment.parameters))


def _state(term: Term, _: datetime) -> Condition:
    for value in term.values:
        if value.text not in _STATES:
            raise _no_such("state", value, _STATES, _MEANT)
    states = tuple(dict.fromkeys(value.text for value in term.values))
    if OUTCOMES.issuperset(states) and not term.is_negated:
        return Key("outcome", states)
    # The column `state` keeps the last word that was heard of a job whose end was not recorded.
    parts = [Fragment("outcome = 'unknown'")] if UNKNOWN in states else []
    parts.append(Fragment("(state = ANY({}::text[]) AND outcome IS DISTINCT FROM 'unknown')", (list(states),)))
    return Filter(any_of(parts))


_STATES = [*(state.value for state in JobState), UNKNOWN]
_PRIORITIES = [priority.value for priority in Priority]


def _priority(term: Term, _: datetime) -> Condition:
    for value in term.values:
        if value.text not in _PRIORITIES:
            raise _no_such("priority", value, _PRIORITIES)
    return Filter(Fragment("priority = ANY({}::text[])", ([value.text for value in term.values],)))


def _has(term: Term, _: datetime) -> Condition:
    for value in term.values:
        if value.text not in HAS:
            raise _no_such("`has`", value, [*HAS])
    return Filter(Fragment("(" + " OR ".join(HAS[value.text] for value in term.values) + ")"))


def _no_such(what: str, value: Value, known: Sequence[str], meant: Mapping[str, str] | None = None) -> QueryError:
    meant = meant or {}
    near = difflib.get_close_matches(value.text, [*known, *meant], 1)
    hint = f"did you mean `{meant.get(near[0], near[0])}`?" if near else f"one of {', '.join(known)}"
    return QueryError(f"there is no {what} `{quotable(value.text)}`", value.position, value.end, hint)


def _key(term: Term, _: datetime) -> Condition:
    for value in term.values:
        if value.is_pattern and not is_prefix(value):
            raise QueryError(f"`{term.field.name}` takes a `*` at its end only", value.position, value.end)
    if any(value.is_pattern for value in term.values):
        return Filter(matches(term.field.column, term.values))
    return Key(term.field.column, tuple(dict.fromkeys(value.text for value in term.values)))


def _name(term: Term, _: datetime) -> Condition:
    return Filter(matches(term.field.column, term.values))


def _error_type(term: Term, _: datetime) -> Condition:
    """Return the condition on the type of an error, which may be given without its module."""
    bare = [value for value in term.values if not (value.is_quoted or value.is_pattern or "." in value.text)]
    ends = [Value(f"*.{value.text}") for value in bare]
    return Filter(matches(term.field.column, [*term.values, *ends]))


def _text(term: Term, _: datetime) -> Condition:
    for value in term.values:
        if len(value.text.strip("*")) < LEAST_TEXT_CHARS:
            raise QueryError(f"text has at least {LEAST_TEXT_CHARS} characters", value.position, value.end)
    column = term.field.column
    patterns = [f"%{like(value.text, is_pattern=value.is_pattern)}%" for value in term.values]
    parts = [Fragment(f"{column} ILIKE {{}}::text", (pattern,)) for pattern in patterns]
    # Of a text without three letters or digits in a row the index knows nothing.
    helped = all(_RUN_OF_WORD.search(value.text) for value in term.values)
    return Filter(any_of(parts), "error_text" if helped and column == "error_text" else None)


def _number(term: Term, _: datetime) -> Condition:
    if term.operator == ":" and len(term.values) > 1:
        spans = [span_of_numbers(Term(field=term.field, values=(value,))) for value in term.values]
        return Filter(any_of([_within(term.field, span, "bigint") for span in spans]))
    return Filter(_within(term.field, span_of_numbers(term), "bigint"))


def _length(term: Term, _: datetime) -> Condition:
    return Filter(_within(term.field, span_of_lengths(term), "bigint"))


def _time(term: Term, now: datetime) -> Condition:
    return Filter(_within(term.field, span_of_times(term, now), "timestamptz"))


def _within(field: Field, span: Span[int] | Span[datetime], cast: str) -> Fragment:
    bounds = ((">=", span.low), ("<", span.high))
    parts = [Fragment(f"{field.column} {sign} {{}}::{cast}", (bound,)) for sign, bound in bounds if bound is not None]
    return Fragment("(" + " AND ".join(part.sql for part in parts) + ")", sum((part.parameters for part in parts), ()))


_READERS: Mapping[FieldKind, Callable[[Term, datetime], Condition]] = {
    FieldKind.ID: _key,
    FieldKind.STATE: _state,
    FieldKind.PRIORITY: _priority,
    FieldKind.HAS: _has,
    FieldKind.KEY: _key,
    FieldKind.NAME: _name,
    FieldKind.ERROR_TYPE: _error_type,
    FieldKind.TEXT: _text,
    FieldKind.NUMBER: _number,
    FieldKind.DURATION: _length,
    FieldKind.TIME: _time,
    FieldKind.TAG: lambda term, _: tag_condition(term),
    FieldKind.JSON: lambda term, _: json_condition(term),
}
