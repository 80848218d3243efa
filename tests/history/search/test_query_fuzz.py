"""No text leads to another error than QueryError, and nothing of it stands in the text of a statement."""

import random

from history.search.crowd import NOW, TYPES
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import DEFAULT_TENANT
from millstream_history import History
from millstream_history.errors import QueryError
from millstream_history.search.language.fields import ALIASES, FIELDS
from millstream_history.search.language.filters import fragment_of
from millstream_history.search.plan import JobQuery, Plan, plan_of

NAMES = [
    *FIELDS,
    *ALIASES,
    *(
        "payload.user.id",
        'payload."a\\"b"."$"',
        "tag.customer",
        "tag.a.b",
        "result.ref",
        "error.type",
        "typ",
        "payload.",
    ),
]
OPERATORS = [":", "=", "!=", ">", ">=", "<", "<=", ":>", ""]
VALUES = [
    *("42", '"x y"', "a*", "*", "**", "'; DROP TABLE jobs;--", "$1", "{}", "{0}", '"\\""', "1..5", ".."),
    *("1h", "dead", "dead,expired", "2026-11-01..", '"\\u0000"', "\\\\", "%", "_", '"a\\\\b"', "@", "$"),
    *('"$.x"', "x)", "-1", "1e9", "9" * 22, "é", "😀", '"', "null", "true", "9999-12-31", "0001-01-01.."),
    *("999999w", "5ms", '"); select 1"', "\x7f", "\u2028", '"' + "%" * 200 + '"', "a" * 257, "\ud83d"),
    *("today", "now", "2026-W01-1", "24:00", "+5", "\u0663", "1.5.2", "*abc*d", "1.", "-0", "00", "0x1"),
    *("1_000", "high", "error", "email.*", "1970-01-01T00:00+23:59", "0001-01-01"),
]  # fmt: skip


def term(draw_from) -> str:
    """Return something that looks like a term."""
    words = [
        draw_from(["", "", "", "-", "NOT ", "AND "]),
        draw_from([*NAMES, ""]),
        draw_from(OPERATORS),
        draw_from(VALUES),
    ]
    if draw_from([True, False, False]):
        words += [",", draw_from(VALUES)]
    return "".join(words)


@st.composite
def queries(draw) -> str:
    """Draw a query that nearly means something, or any text."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(max_size=60))
    return " ".join(term(lambda some: draw(st.sampled_from(some))) for _ in range(draw(st.integers(1, 4))))


def plan(q: str) -> Plan | None:
    """Return the plan of a query, None for one that means nothing."""
    try:
        return plan_of(JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q), TYPES)
    except QueryError as error:
        check(error, q)
        return None


def check(error: QueryError, q: str) -> None:
    """Check that an error says where, and is a line where the query is one."""
    assert 0 <= error.position <= error.end
    assert error.detail
    assert str(error).isprintable() or not q.isprintable()


@given(queries())
def test_a_text_has_a_plan_or_a_query_error(q):
    """Any text has a plan, or is refused by QueryError with a place in it."""
    plan(q)


def sql_of(found: Plan) -> str:
    """Return the text of all conditions of a plan."""
    return " ".join(fragment_of(one).sql for one in found.conditions)


@given(
    st.sampled_from(["payload.{}", "tag.{}", "result.{}", "worker", "error", "type", "fingerprint", "error.type"]),
    st.sampled_from([":", "!=", ":*", ":a,"]),
    st.text("αβγδ'\"\\;-%_{}$", min_size=3, max_size=20),
)  # fmt: skip
def test_nothing_of_a_query_stands_in_the_text_of_a_statement(field, operator, text):
    """Values and keys of a query are parameters, whatever they look like."""
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    found = plan(field.format(quoted) + operator + quoted)
    if found:
        assert not set(sql_of(found)) & set("αβγδ;%$\\")


async def test_postgresql_takes_every_query_that_is_accepted(history: History):
    """A query that has a plan has an answer: PostgreSQL refuses no part of it."""
    dice, accepted = random.Random(11), 0
    for _ in range(3_000):
        q = " ".join(term(dice.choice) for _ in range(dice.randint(1, 3)))
        if (found := plan(q)) is None or found.is_empty:
            continue
        accepted += 1
        await history.search.page(JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q), known_types=TYPES, limit=5)
    assert accepted > 100
