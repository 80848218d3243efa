"""Pages of lists that are sorted by name: every name once, whatever it is made of."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_ingest.inspection.name_pages import page_of
from millstream_streams import CursorError


@given(st.sets(st.text(min_size=1, max_size=5)), st.integers(1, 8))
def test_pages_hold_every_name_once_and_end_with_the_last(names: set[str], limit: int) -> None:
    """A cursor is given where more names follow, and only there."""
    ordered, found, cursor = sorted(names), list[str](), None
    for _ in range(-(-len(names) // limit) or 1):
        page, cursor = page_of(ordered, str, cursor, limit)
        assert len(page) <= limit
        found += page
        assert (cursor is None) is (len(found) == len(names))
    assert found == ordered


def test_a_name_that_has_gone_does_not_end_the_list() -> None:
    """The cursor is a place in the order of names, and not in the list."""
    _, cursor = page_of(["a", "b", "c"], str, None, 2)
    assert page_of(["a", "c", "d"], str, cursor, 2) == (["c", "d"], None)


@pytest.mark.parametrize("cursor", ["!!!", "a", "YQ==YQ", "Y+8", base64.urlsafe_b64encode(b"\xff").decode()])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """A cursor that was cut or made up must not show another page than the one that was meant."""
    with pytest.raises(CursorError):
        page_of(["a"], str, cursor, 1)
