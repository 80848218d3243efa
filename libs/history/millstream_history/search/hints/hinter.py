"""Hints at how a query can go on at the place where a person is typing."""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from millstream_contracts import JobState, Priority, SearchHint, SearchHints
from millstream_history.search.hints.recent_jobs import MAX_VALUES, RecentJobs
from millstream_history.search.language.fields import ALIASES, FIELDS, HAS, FieldKind
from millstream_history.search.language.writing import written_value

MAX_HINTS = 20

_TERM = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*"?)*$')
_OPERATOR = re.compile(r"!=|>=|<=|[:=<>]")
_TYPE = re.compile(r"(?:^|\s)(?:type|queue|task)[:=]([a-z0-9.-]+)(?=\s|$)")


class Part(Struct, frozen=True):
    """The part of a query that is being typed."""

    begin: int
    end: int
    field: str
    """The field whose value it is; empty while it is a field itself."""
    text: str


def type_in(q: str) -> str | None:
    """Return the job type that a query names, if it names one."""
    found = _TYPE.search(q)
    return found[1] if found else None


def part_at(q: str, at: int) -> Part:
    """Return the part of a query that ends at a place."""
    term = _TERM.search(q[:at])
    assert term is not None
    begin = term.start() + (1 if term[0].startswith("-") else 0)
    operator = _OPERATOR.search(q, begin, at)
    if operator is None:
        return Part(begin, at, "", q[begin:at])
    name = q[begin : operator.start()]
    head, dot, rest = name.partition(".")
    field = ALIASES.get(head, head) + dot + rest
    value = q.rfind(",", operator.end(), at) + 1 or operator.end()
    return Part(value, at, field, q[value:at])


def hints_at(q: str, at: int, known_types: Sequence[str], recent: RecentJobs) -> SearchHints:
    """Return the hints at a place of a query."""
    part = part_at(q, at)
    found = _values(part, known_types, recent) if part.field else _names(part, recent)
    return SearchHints([part.begin, part.end], list(found)[:MAX_HINTS])


def _names(part: Part, recent: RecentJobs) -> Iterator[SearchHint]:
    for field in FIELDS.values():
        if field.name.startswith(part.text):
            yield SearchHint(f"{field.name}{'.' if field.has_path else ':'}", field.meaning)
    by_frequency = sorted(recent.fields.items(), key=lambda item: (-item[1].jobs, item[0]))
    for name, seen in by_frequency:
        if "." in part.text and name.startswith(part.text) and name not in FIELDS and name.isprintable():
            kind = seen.kinds.most_common(1)[0][0]
            yield SearchHint(f"{name}:", f"{kind}, in {_share(seen.jobs, recent.count)} of recent jobs")


def _share(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 else "under 1 %"


def _values(part: Part, known_types: Sequence[str], recent: RecentJobs) -> Iterator[SearchHint]:
    for text, note in _known_values(part.field, known_types, recent):
        if text.lower().startswith(part.text.strip('"').lower()):
            yield SearchHint(written_value(text), note)


def _known_values(field: str, known_types: Sequence[str], recent: RecentJobs) -> Iterator[tuple[str, str]]:
    known = FIELDS.get(field)
    match known.kind if known else None:
        case FieldKind.STATE:
            yield from ((state.value, "") for state in JobState)
        case FieldKind.PRIORITY:
            yield from ((priority.value, "") for priority in Priority)
        case FieldKind.HAS:
            yield from ((name, "") for name in HAS)
        case FieldKind.TYPE:
            yield from ((name, "") for name in known_types)
        case FieldKind.TIME | FieldKind.SINCE | FieldKind.UNTIL:
            yield from (
                ("1h", "an hour ago"),
                ("1d", "a day ago"),
                ("7d", "a week ago"),
                ("today", ""),
                ("yesterday", ""),
            )
        case FieldKind.DURATION:
            yield from ((text, "") for text in ("100ms", "1s", "10s", "1m", "1h"))
    if field in recent.fields:
        for text, count in recent.fields[field].values.most_common(MAX_VALUES):
            yield text, recent.errors.get(text, f"in {_share(count, recent.count)} of recent jobs")
