"""The smallest pieces of pages: whatever stands in them is text, and lists ask for the same ones again and again."""

import pytest
from markupsafe import Markup

from millstream_console.drawing.chart import spark
from millstream_console.drawing.pieces import late, meter, n, pieces, summed, user
from millstream_console.web.visit import address_in

HOSTILE = '<script>alert(\'"&")</script>'
SHOWN = "&lt;script&gt;alert(&#39;&#34;&amp;&#34;)&lt;/script&gt;"


def asset(name: str) -> str:
    """Return an address with what a page has to escape."""
    return f'/static/"/{name}'


@pytest.mark.parametrize(
    "piece",
    [
        lambda: user(HOSTILE),
        lambda: n(1, HOSTILE),
        lambda: meter(1, HOSTILE),
        lambda: summed([1], HOSTILE),
        lambda: spark([1, 2], HOSTILE),
        lambda: pieces(asset)["icon"](HOSTILE),
        lambda: pieces(asset)["icon"]("retry", HOSTILE),
        lambda: pieces(asset)["st"](HOSTILE),
        lambda: pieces(asset)["st"]("dead", HOSTILE),
    ],
)
def test_a_piece_escapes_what_stands_in_it(piece) -> None:
    """Text in a piece is never markup, wherever it stands."""
    made = piece()
    assert isinstance(made, Markup)
    assert HOSTILE not in made
    assert SHOWN in made


def test_a_text_of_users_shows_its_control_characters() -> None:
    """A text that turns the direction of what follows it is isolated, and shows what it would have done."""
    assert user("a\u202eb") == '<bdi>a<span class="cc">U+202E</span>b</bdi>'


def test_zero_is_quiet_in_a_cell() -> None:
    """A cell is to the right and grouped; zero has the class of what says nothing."""
    assert n(1204, "p2") == '<td class="n p2">1,204</td>'
    assert n(0, "p2") == '<td class="n z p2">0</td>'


def test_an_age_that_may_be_late_has_a_class() -> None:
    """An age above the limit warns, and none is quiet."""
    assert [late(age_s, 60) for age_s in (61, 60, 0)] == ["warn", "", "z"]


def test_a_state_has_a_shape_and_a_word() -> None:
    """A state is told by shape and word, also one of a newer release; its tone only helps."""
    st = pieces(asset)["st"]
    assert 'class="st b"' in st("dead")
    assert "#s-dead" in st("dead")
    assert 'class="st "' in st("reborn")
    assert "reborn</span>" in st("reborn")
    assert "no worker</span>" in st("lost", "no worker")


def test_equal_values_of_other_types_are_other_addresses() -> None:
    """What is remembered of an address does not take the number 1 for the word True."""
    assert address_in("/base", "/jobs", a=1, b=True, c="a b&c", d=None, e="") == "/base/jobs?a=1&b=True&c=a+b%26c"
