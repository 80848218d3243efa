"""A condition is added to a query, or taken out of it, and the rest stays as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_history.search.language.query_editor import QueryEditor
from millstream_history.search.language.query_parser import MAX_TERMS, parse_query


@pytest.mark.parametrize(
    ("q", "value", "expected"),
    [
        ("", "dead", "state:dead"),
        ("since:1d", "dead", "since:1d state:dead"),
        ("state:dead", "dead", ""),
        ("since:1d state:dead mail", "dead", "since:1d mail"),
        ("status:dead", "dead", ""),
        ("state:dead,expired x-y", "dead", "state:expired x-y"),
        ("state:expired,dead", "dead", "state:expired"),
        ("state:expired,dead,cancelled", "dead", "state:expired,cancelled"),
        ("state:dead,dead", "dead", ""),
        ("-state:dead", "dead", "-state:dead state:dead"),
        ("state:expired", "dead", "state:dead"),
        ("since:1d status:expired,cancelled mail state:e*", "dead", "since:1d mail state:dead"),
        ('error:"a  b" state:dead', "dead", 'error:"a  b"'),
        ('error:"a  b" state:expired', "dead", 'error:"a  b" state:dead'),
    ],
)
def test_a_condition_is_toggled(q: str, value: str, expected: str) -> None:
    """A value that a term has is taken out of it; one that none has takes the place of the others of its field."""
    assert QueryEditor(q).toggled("state", value).q == expected


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("type:a.b,c.* state:dead queue:x.y", "state:dead"),
        ("-type:a.b type:c.d", "-type:a.b"),
        ("tag.env:x type:a.b", "tag.env:x"),
        ("state:dead", "state:dead"),
    ],
)
def test_a_field_is_left_out(q: str, expected: str) -> None:
    """Without a field a query has all of its other conditions, and what it excludes."""
    editor = QueryEditor(q)
    assert (editor.without("type"), editor.has("type")) == (expected, expected != q)


def test_tags_with_a_condition_are_named() -> None:
    """Each tag that a query has a condition on is named once; what is excluded is none."""
    assert QueryEditor("tag.env:a tag.b:1 -tag.c:2 tag.env:z has:tags").tags == ["env", "b"]


@pytest.mark.parametrize("value", ["a b", "50*", "", '"x"', "a,b", ">5", "-x", "1..5", "ä\\", "http://x/?y=(z)"])
def test_a_value_of_any_text_is_that_text(value: str) -> None:
    """A value with marks of the language in it is quoted, so that it is found as it is, and can be taken out again."""
    added = QueryEditor("has:tags").toggled("tag", value, "of order")
    assert added.q is not None
    [_, term] = parse_query(added.q)
    [found] = term.values
    assert (term.path, found.text, found.is_pattern) == (("of order",), value, False)
    assert QueryEditor(added.q).toggled("tag", value, "of order").q == "has:tags"


@pytest.mark.parametrize(
    ("q", "value"),
    [
        (" ".join([*["x" * 250] * 3, "y" * 240]), "dead"),
        (" ".join(["has:error"] * MAX_TERMS), "dead"),
        ("", "line\nbreak"),
        ("", "x" * 300),
        ("", "\ud800"),
    ],
    ids=["long", "many", "control", "value", "surrogate"],
)
def test_what_no_query_can_say_has_no_query(q: str, value: str) -> None:
    """Where a query would be too long, or have a character that none has, there is none."""
    assert QueryEditor(q).toggled("worker", value).q is None


@given(st.text(max_size=40), st.text(max_size=20))
def test_a_value_can_be_taken_out_again(value: str, key: str) -> None:
    """Whatever a value and a key are: added and taken out, the query is what it was, or it never had them."""
    added = QueryEditor("state:dead").toggled("tag", value, key)
    if added.q is not None:
        assert not added.was_there
        again = QueryEditor(added.q).toggled("tag", value, key)
        assert (again.q, again.was_there) == ("state:dead", True)
