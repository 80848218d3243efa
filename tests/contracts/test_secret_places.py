"""Secret values are found by the schema wherever it may mark them, and by nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import MASK, secret_places

SECRET = {"x-secret": True, "type": "string"}


def masked(schema: dict[str, Any], value: Any) -> Any:
    """Return a value as it is shown."""
    places = secret_places(schema)
    return value if places is None else places.masked(value)


@pytest.mark.parametrize(
    ("schema", "value", "shown"),
    [
        (SECRET, "s", MASK),
        (SECRET, None, None),
        (SECRET, {"a": ["s"]}, MASK),
        ({"writeOnly": True}, "s", MASK),
        ({"type": "string", "format": "password"}, "s", MASK),
        ({"properties": {"a": SECRET}}, {"a": "s", "b": "s"}, {"a": MASK, "b": "s"}),
        ({"properties": {"a": SECRET}}, ["s"], ["s"]),
        ({"additionalProperties": SECRET}, {"a": "s", "b": None}, {"a": MASK, "b": None}),
        ({"properties": {"a": {}}, "additionalProperties": SECRET}, {"a": "s", "b": "s"}, {"a": "s", "b": MASK}),
        ({"patternProperties": {"^t": SECRET}}, {"token": "s"}, {"token": MASK}),
        ({"items": SECRET}, ["s", 1], [MASK, MASK]),
        ({"prefixItems": [{}, SECRET]}, ["s", "s", "s"], ["s", MASK, "s"]),
        ({"prefixItems": [{}], "items": SECRET}, ["s", "s"], ["s", MASK]),
        ({"items": [{}, SECRET]}, ["s", "s"], ["s", MASK]),
        ({"anyOf": [{"type": "null"}, {"properties": {"a": SECRET}}]}, {"a": "s"}, {"a": MASK}),
        ({"oneOf": [{"items": SECRET}, {"additionalProperties": SECRET}]}, {"a": "s"}, {"a": MASK}),
        ({"allOf": [{"properties": {"a": {}}}, {"properties": {"a": SECRET}}]}, {"a": "s"}, {"a": MASK}),
        ({"if": {}, "then": {"properties": {"a": SECRET}}}, {"a": "s"}, {"a": MASK}),
        ({"dependentSchemas": {"b": {"properties": {"a": SECRET}}}}, {"a": "s"}, {"a": MASK}),
        ({"$ref": "#/$defs/A", "$defs": {"A": SECRET}}, "s", MASK),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": SECRET}}, "s", MASK),
        ({"x-secret": False}, "s", "s"),
        # A field of this name is no mark.
        ({"properties": {"x-secret": {"type": "boolean"}}}, {"x-secret": True}, {"x-secret": True}),
    ],
)
def test_secret_values_are_masked_where_the_schema_marks_them(schema: dict[str, Any], value: Any, shown: Any) -> None:
    """A mark counts in members, items, maps, unions, conditions and references; null is shown as it is."""
    assert masked(schema, value) == shown


def test_type_that_contains_itself_is_masked_at_every_depth() -> None:
    """A reference to the type itself masks the secrets of each level."""
    node = {"properties": {"token": SECRET, "next": {"$ref": "#/$defs/Node"}}}
    value = {"token": "s", "next": {"token": "s", "next": {"token": "s", "note": "n"}}}
    shown = masked({"$ref": "#/$defs/Node", "$defs": {"Node": node}}, value)
    assert shown == {"token": MASK, "next": {"token": MASK, "next": {"token": MASK, "note": "n"}}}


@pytest.mark.parametrize("reference", ["https://example.test/a", "#/$defs/B", "#b"])
def test_what_cannot_be_looked_up_is_secret(reference: str) -> None:
    """A reference that leads nowhere may name a secret, in a schema that has marks."""
    schema = {"properties": {"a": SECRET, "b": {"$ref": reference}}}
    assert masked(schema, {"a": "s", "b": "s", "c": "s"}) == {"a": MASK, "b": MASK, "c": "s"}


def test_schema_that_cannot_be_read_hides_everything() -> None:
    """Of a schema in another form nothing is shown, because a mark may be in it."""
    assert masked({"properties": ["x-secret", SECRET]}, {"a": "s"}) == MASK


def test_schema_without_marks_has_no_places() -> None:
    """A schema without a mark costs nothing when answers are made."""
    assert secret_places(None) is None
    assert secret_places({"properties": {"a": {"type": "string"}}}) is None


def test_value_that_is_nested_too_deep_is_masked() -> None:
    """A value that is deeper than places are followed is masked, and not shown."""
    schema = {"properties": {"token": SECRET}, "additionalProperties": {"$ref": "#"}}
    value: Any = {"token": "s"}
    for _ in range(500):
        value = {"a": value}
    assert '"s"' not in repr(masked(schema, value)).replace("'", '"')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SCHEMAS = st.recursive(
    st.sampled_from([{}, SECRET, {"$ref": "#"}]),
    lambda inner: (
        st.fixed_dictionaries({"items": inner, "properties": st.dictionaries(st.sampled_from("abc"), inner)})
        | st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some})
    ),
    max_leaves=6,
)


@given(SCHEMAS, JSON)
def test_masks_stand_exactly_where_secrets_were(schema: dict[str, Any], value: Any) -> None:
    """What is masked is what `secrets_in` finds, `masks_in` tells where, and to mask twice changes nothing."""
    places = secret_places(schema)
    if places is None:
        return
    shown = places.masked(value)
    assert len(places.masks_in(shown)) == len(list(places.secrets_in(value)))
    assert places.masked(shown) == shown
    assert all(one == MASK for one in places.secrets_in(shown))
    for path in places.masks_in(shown):
        assert places.covers([str(step) for step in path])
        assert places.masked_at([str(step) for step in path], "s") == MASK
