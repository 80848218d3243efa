"""Hints say how a query can go on where a person types, from fields, types and what recent jobs have in them."""

import pytest

from millstream_history.search.hints.hinter import hints_at, part_at, type_in
from millstream_history.search.hints.recent_jobs import RecentJobs, summary_of


def row(**fields) -> dict:
    """Return a row of a recent job."""
    empty = dict.fromkeys(("payload", "tags", "worker", "fingerprint", "error_text", "error_type"))
    return {**empty, **fields}


RECENT = summary_of(
    [
        row(payload={"user": {"id": 7, "password": "hunter2"}, "items": [{"sku": "A 1"}]}, tags={"customer": "c1"}),
        row(payload={"user": {"id": 7}, "odd key": None}, tags={"customer": "c2"}, worker="web-1"),
        row(payload="text", fingerprint="f00d", error_text="TimeoutError: no route"),
        row(payload={"user": {"id": 8}}),
    ]
)
NOTHING = RecentJobs(0, {}, {})


def texts(q: str, recent: RecentJobs = RECENT) -> list[str]:
    """Return the hints at the end of a query."""
    return [hint.text for hint in hints_at(q, len(q), ["email.send", "sms.send"], recent).items]


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("", "id:"),
        ("sta", "state:"),
        ("state:dead pay", "payload."),
        ("-fing", "fingerprint:"),
        ("payload.u", "payload.user.id:"),
        ("args.u", None),
        ("tag.", "tag.customer:"),
        ("state:de", "dead"),
        ("status:dead,ex", "expired"),
        ("type:sms", "sms.send"),
        ("has:e", "error"),
        ("priority:", "high"),
        ("payload.user.id:", "7"),
        ("payload.items.sku:", '"A 1"'),
        ("worker:", "web-1"),
        ("since:", "1h"),
        ("run:>", None),
        ("nonsense.x:", None),
    ],
)
def test_hints_follow_what_is_typed(q, first):
    """The first hint begins with what was typed, and is a field or a value as the place asks for."""
    found = texts(q)
    assert (found[0] if found else None) == first or (first is None and q == "run:>")


def test_a_hint_says_what_it_replaces_and_what_it_is():
    """A hint replaces the part that is being typed, and notes what recent jobs have."""
    found = hints_at("state:dead payload.u since:1h", 20, [], RECENT)
    assert found.replace == [11, 20]
    assert [(hint.text, hint.note) for hint in found.items] == [
        ("payload.user.id:", "number, in 75 % of recent jobs"),
        ("payload.user.password:", "text, in 25 % of recent jobs"),
    ]
    [hint] = hints_at("fingerprint:", 12, [], RECENT).items
    assert (hint.text, hint.note) == ("f00d", "TimeoutError: no route")


def test_values_of_secrets_are_never_hinted_at():
    """Values of keys that are named like a secret are not among the hints."""
    assert texts("payload.user.password:") == []
    assert "hunter2" not in str(RECENT)


def test_keys_and_values_are_written_as_a_query_has_them():
    """Keys and values that need quotes have them."""
    assert texts("payload.od") == []
    assert 'payload."odd key":' in texts("payload.")
    assert part_at('error:"a b', 10).text == '"a b'


def test_without_recent_jobs_the_fields_are_there():
    """Where no job was seen lately, hints are the fields, states and types."""
    assert texts("payload.", NOTHING) == []
    assert texts("type:", NOTHING) == ["email.send", "sms.send"]


def test_the_type_of_a_query_is_found():
    """The type that a query names is the one whose jobs are looked at."""
    assert type_in("state:dead type:email.send x") == "email.send"
    assert type_in("type:email.* x") is None
    assert type_in("") is None
