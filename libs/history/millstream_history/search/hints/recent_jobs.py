"""Tells what the newest jobs of a type have in them, for hints: which keys, and which values.

Values of keys that are named like a secret are left out.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from millstream_contracts import Tenant
from millstream_history.search.language.query_parser import MAX_PATH_DEPTH
from millstream_history.search.language.writing import written_key
from millstream_history.search.paging.timed_session import OutOfTimeError, Record, TimedSession
from millstream_history.search.secret_names import is_secret
from millstream_history.search.statement import Statement

LOOKED_AT = 300
MAX_PAYLOAD_BYTES = 4_096
"""Larger payloads are not looked at: hints are for a person who types."""

MAX_VALUES = 20
MAX_VALUE_CHARS = 60


class Seen(Struct):
    """What was seen of one field."""

    jobs: int = 0
    """How many of the jobs have it."""
    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    values: Counter[str] = msgspec.field(default_factory=Counter)


class RecentJobs(Struct, frozen=True):
    """What the newest jobs have, by field: `payload.user.id`, `tag.customer`, `worker` and so on."""

    count: int
    fields: Mapping[str, Seen]
    errors: Mapping[str, str]
    """A text of the error of each fingerprint."""


NO_JOBS = RecentJobs(0, {}, {})


async def look_at_recent(session: TimedSession, tenant: Tenant, job_types: Collection[str] | None) -> RecentJobs:
    """Look at the newest jobs of some types, or of all; without time, at none."""
    statement = Statement()
    of_type = "" if job_types is None else f" AND type = ANY({statement.bind(sorted(job_types))}::text[])"
    sql = (
        f"SELECT CASE WHEN payload_bytes <= {MAX_PAYLOAD_BYTES} THEN payload END AS payload, tags, worker, "  # noqa: S608
        f"fingerprint, left(error_text, {MAX_VALUE_CHARS}) AS error_text, error->>'type' AS error_type "
        f"FROM jobs WHERE tenant = {statement.bind(tenant)}{of_type} ORDER BY created_at DESC LIMIT {LOOKED_AT}"
    )
    try:
        return summary_of(await session.fetch(sql, statement, session.left_s))
    except OutOfTimeError:
        return NO_JOBS


def summary_of(rows: list[Record]) -> RecentJobs:
    """Return what some jobs have in them."""
    fields: defaultdict[str, Seen] = defaultdict(Seen)
    errors: dict[str, str] = {}
    for row in rows:
        found = dict.fromkeys(_facts(row))
        for name in {name for name, _ in found}:
            fields[name].jobs += 1
        for name, value in found:
            _note(fields[name], name, value)
        if row["fingerprint"] and row["error_text"]:
            errors.setdefault(row["fingerprint"], row["error_text"])
    return RecentJobs(len(rows), dict(fields), errors)


def _note(seen: Seen, name: str, value: Any) -> None:
    seen.kinds[_kind(value)] += 1
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if not is_secret(name) and len(text) <= MAX_VALUE_CHARS and text.isprintable():
        seen.values[text] += 1


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "number"
        case None:
            return "null"
    return "text"


def _facts(row: Record) -> Iterator[tuple[str, Any]]:
    for name, column in (("worker", "worker"), ("fingerprint", "fingerprint"), ("error.type", "error_type")):
        if row[column] is not None:
            yield name, row[column]
    for key, value in (row["tags"] or {}).items():
        yield f"tag.{written_key(key)}", value
    yield from _leaves("payload", row["payload"], 0)


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    match value:
        case dict() if depth < MAX_PATH_DEPTH:
            for key, inner in value.items():
                yield from _leaves(f"{path}.{written_key(key)}", inner, depth + 1)
        case list():
            for inner in value[:MAX_VALUES]:
                yield from _leaves(path, inner, depth)
        case str() | int() | float() | None if depth:
            yield path, value
