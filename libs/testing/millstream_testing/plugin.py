"""The plugin for pytest: the fixture `jobs`, the setting `millstream_app` and the marker `millstream`.

pytest loads this module at each start, so it imports the kit where a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

_MARKER = "millstream(app=..., state=..., allow_dead=False): what the fixture `jobs` runs, and what it lets pass"
_IN_USE = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that names the app."""
    parser.addini("millstream_app", "the app of the fixture `jobs`, as module:attribute, such as shop.jobs:app")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def jobs(request: pytest.FixtureRequest) -> Generator[Any]:
    """Run the jobs of `millstream_app` in memory: a `Testing` for async tests, a `SyncTesting` for others."""
    from millstream_testing.jobs_fixture import JobsFixture  # noqa: PLC0415 - only where a test asks for it

    with JobsFixture(request) as fixture:
        request.node.stash[_IN_USE] = fixture
        yield fixture.kit


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have the kit open around the test function, on the event loop that runs it, and look for leftovers."""
    fixture = item.stash.get(_IN_USE, None)
    if fixture is not None and isinstance(item, pytest.Function):
        item.obj = fixture.around(item.obj)
