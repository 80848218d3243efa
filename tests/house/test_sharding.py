"""The tests are distributed over processes: a shared fixture stays in one, and long tests begin first."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sharding import ENDED_EARLY, LONG, ONE_BY_ONE, TOGETHER, TOWNS, arrange, group_of, unit_of

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


FIXTURES = """
import pytest
from sharding import end_unused, note_set_up


def pytest_fixture_setup(fixturedef, request):
    note_set_up(fixturedef, request)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    yield
    end_unused(item.config, nextitem)


@pytest.fixture(scope="session")
def events():
    return []


@pytest.fixture(scope="session")
def {early}(events):
    events.append("begun")
    yield
    events.append("ended")


@pytest.fixture(scope="session")
def {late}(events):
    yield
    events.append("never")


@pytest.fixture(scope="module")
def over_it({early}, events):
    yield
    events.append("left")
"""
UNITS = {
    "test_a.py": "def test_one({early}, {late}): pass\ndef test_two(over_it): pass\n",
    "test_b.py": 'def test_without(events): assert events == ["begun", "left", "ended"]\n'
    'def test_again({early}, events): assert events == ["begun", "left", "ended", "begun"]\n',
}


def test_a_system_ends_before_the_first_test_that_does_not_use_it(tmp_path: Path) -> None:
    """What idles beside other tests takes their time; one that is used again later starts again."""
    names = {"early": ENDED_EARLY[0], "late": "postgres_url"}
    assert names["late"] in TOGETHER.keys() - set(ENDED_EARLY)
    for name, text in {"conftest.py": FIXTURES, "pytest.ini": "[pytest]\n", **UNITS}.items():
        (tmp_path / name).write_text(text.format(**names))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-pno:cacheprovider", "-pno:schemathesis", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        text=True,
        capture_output=True,
        check=False,
    )
    assert "4 passed in" in done.stdout, done.stdout
