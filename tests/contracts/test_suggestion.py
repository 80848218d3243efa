"""A suggestion is the known name that is nearest to what a user wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import did_you_mean


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("email.snd", "; did you mean `email.send`?"),
        ("reprt.generate", "; did you mean `report.generate`?"),
        ("report.generates", "; did you mean `report.generate`?"),
        ("xyzzy", ""),
        ("", ""),
    ],
)
def test_did_you_mean_names_the_nearest_word(word: str, wanted: str) -> None:
    """A near word is suggested, and a far one is not."""
    assert did_you_mean(word, ["email.send", "report.generate", "priority"]) == wanted


@given(st.text(max_size=30))
def test_did_you_mean_offers_nothing_when_nothing_is_known(word: str) -> None:
    """Without known words nothing is suggested."""
    assert did_you_mean(word, []) == ""


@given(st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=5))
def test_did_you_mean_takes_any_iterable(words: list[str]) -> None:
    """A known word is its own nearest, also from an iterable that can be read once."""
    assert f"`{words[0]}`" in did_you_mean(words[0], iter(words))
