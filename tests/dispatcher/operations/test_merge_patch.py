"""Patches are merged as RFC 7396 says."""

import pytest

from millstream_dispatcher.operations.merge_patch import MAX_CHANGES, changes_of, merged

CASES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""The examples of RFC 7396, appendix A."""


@pytest.mark.parametrize(("value", "patch", "result"), CASES)
def test_merging_is_that_of_the_rfc(value: object, patch: object, result: object) -> None:
    """Each example of the RFC has its result, and the value before is not touched."""
    before = repr(value)
    assert merged(value, patch) == result
    assert repr(value) == before


def test_changes_name_every_value_that_differs_once() -> None:
    """Equal values are no change, a value of another type is one, and of very many the first are shown."""
    assert changes_of({"a": {"b": 1}, "c": [1]}, {"a": {"b": 1}, "c": [1]}) == []
    assert [(one.pointer, one.kind) for one in changes_of({"a": 1}, {"a": True})] == [("/a", "changed")]
    assert [(one.pointer, one.kind) for one in changes_of([1], {"a": 1})] == [("", "changed")]
    assert len(changes_of({}, {str(number): number for number in range(100)})) == MAX_CHANGES
    [large] = changes_of({}, {"a": "x" * 10_000})
    assert large.after == "(10,002 bytes)"
