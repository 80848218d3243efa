"""The tests are distributed over processes: a shared fixture stays in one, and long tests begin first."""

from types import SimpleNamespace
from typing import Any

import pytest
from sharding import LONG, ONE_BY_ONE, TOGETHER, TOWNS, arrange, group_of, unit_of

MODULE = "tests/sdk/test_app.py"
ALONE = f"{ONE_BY_ONE[0]}test_chaos.py::test_one"
FIRST, SECOND = f"{LONG[0]}test_y.py::y", f"{LONG[1]}test_x.py::x"


@pytest.mark.parametrize(
    ("nodeid", "group", "unit"),
    [
        (f"{MODULE}::test_one[a::b]", f"{MODULE}::test_one[a::b]", MODULE),
        (
            "tests/chaos/test_chaos.py::test_one",
            "tests/chaos/test_chaos.py::test_one",
            "tests/chaos/test_chaos.py::test_one",
        ),
        ("tests/system/test_trace.py::test_one@system", "system", "system"),
    ],
)
def test_a_unit_is_a_module_a_long_test_or_a_group(nodeid: str, group: str, unit: str) -> None:
    """The unit of a test is its group mark, or the test itself if it is listed as long, or its module."""
    assert unit_of(nodeid, group) == unit


def test_what_shares_a_fixture_is_marked_and_the_longest_come_first() -> None:
    """Tests that share a fixture get its group, the longest come first, and the others keep their order."""
    marks: dict[str, Any] = {}

    def item(nodeid: str, *fixtures: str) -> Any:
        return SimpleNamespace(
            nodeid=nodeid, fixturenames=fixtures, add_marker=lambda mark: marks.setdefault(nodeid, mark.args)
        )

    items = [item(f"{MODULE}::b"), item(f"{MODULE}::a"), item(SECOND, "system"), item(FIRST)]
    arrange(items)
    assert [one.nodeid for one in items] == [FIRST, SECOND, f"{MODULE}::b", f"{MODULE}::a"]
    assert marks == {SECOND: (TOGETHER["system"],)}


def test_the_longest_module_with_a_town_has_one_of_its_own() -> None:
    """The other tests of the town do not wait for it."""
    [(module, group)] = TOWNS.items()
    assert group_of("town", f"{module}::test_one") == group
    assert group_of("town", "tests/console/test_frame_in_a_browser.py::test_one") == TOGETHER["town"] != group


@pytest.mark.parametrize("place", [*LONG, *ONE_BY_ONE, *TOWNS])
def test_every_place_that_is_named_exists(place: str, request: pytest.FixtureRequest) -> None:
    """Every module and test that the lists name exists."""
    assert (request.config.rootpath / place).exists()
