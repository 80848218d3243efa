"""The `Prefer` header names what the client would like of the response."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import limits
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.preferences import Preferences, parse_preferences
from millstream_streams import Durability


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["wait=10"], Preferences(wait_s=10.0)),
        (["Wait = 10"], Preferences(wait_s=10.0)),
        (['wait="10"'], Preferences(wait_s=10.0)),
        (["wait=0.5"], Preferences(wait_s=0.5)),
        (["wait=31"], Preferences(wait_s=limits.MAX_WAIT_S)),
        (["wait=1, wait=2"], Preferences(wait_s=1.0)),
        (["wait=1", "wait=2"], Preferences(wait_s=1.0)),
        (["handling=strict"], Preferences(strict=True)),
        (["handling=lenient"], Preferences()),
        (["respond-async, wait=5; x=y, handling=strict"], Preferences(wait_s=5.0, strict=True)),
        (["durability=replicated"], Preferences(durability=Durability.REPLICATED)),
        (["durability=fsynced, wait=1"], Preferences(wait_s=1.0, durability=Durability.FSYNCED)),
        (['a="b, wait=3"'], Preferences()),
        ([""], Preferences()),
        ([", ,"], Preferences()),
        (["=;=,"], Preferences()),
    ],
)
def test_preferences_are_read_and_unknown_ones_ignored(values, expected):
    """An unknown preference is ignored, by RFC 7240."""
    assert parse_preferences(", ".join(values)) == expected


@pytest.mark.parametrize("value", ["wait", "wait=", "wait=x", "wait=-1", "wait=1e3", "wait=nan"])
def test_wait_that_is_no_number_is_refused(value):
    """A `wait` that is no number is refused."""
    with pytest.raises(IngestError) as caught:
        parse_preferences(value)
    assert caught.value.status == 400


def test_durability_that_we_cannot_give_is_refused():
    """An unknown durability is refused, because the client must not get a weaker one."""
    with pytest.raises(IngestError) as caught:
        parse_preferences("durability=eternal")
    assert caught.value.status == 400


@given(st.lists(st.text(st.characters(codec="latin-1"), max_size=60), max_size=3))
def test_no_header_breaks_the_reading(values):
    """Any bytes in `Prefer` are read or refused."""
    with suppress(IngestError):
        assert 0.0 <= parse_preferences(", ".join(values)).wait_s <= limits.MAX_WAIT_S
