"""Distributes the whole suite over several processes of pytest, for `make test` and `.ci/run`.

A unit is what one process runs in one piece. Fixtures of the session exist once per process that uses them.
"""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

MORE_THAN_CORES = 1
"""The number of processes beyond the cores: tests wait for servers, leases and other processes, in which time cores
would be idle.
"""

TOGETHER = {"town": "town", "system": "system", "postgres_url": "postgres"}
"""The unit of all tests that use a fixture of the session, so that an expensive one starts once."""

ENDED_EARLY = ("town", "system")
"""Those of them that end when their process comes to a test without them: whole systems that idle until the end of the
run take the time of other tests.
"""

TOWNS = {"tests/console/test_every_page.py": "town of every page"}
"""A module that takes as long as all others with a town has a town of its own."""

ONE_BY_ONE = (
    "tests/chaos/",
    "tests/system/",
    "tests/cli/test_canary.py",
    "tests/cli/test_signals.py",
    "tests/streams/test_failover.py",
    "tests/streams/test_least_rights.py",
    "tests/workers/test_draining_processes.py",
    "tests/workers/test_isolation.py",
)
"""Tests that take long and share little: each is a unit of its own. Elsewhere a module is one."""

LONG = (
    "tests/chaos/",
    "tests/console/",
    "tests/history/",
    "tests/system/",
    "tests/cli/",
    "tests/workers/",
    "tests/fuzz/",
    "tests/streams/",
)
"""The units that begin first, in this order: a long unit that begins last leaves the other processes idle."""


Running = dict[str, tuple[pytest.FixtureDef[object], pytest.FixtureRequest]]
_RUNNING: pytest.StashKey[Running] = pytest.StashKey()


class Scheduling(LoadGroupScheduling):
    """Hands out units in the order of collection."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid, super()._split_scope(nodeid))


def unit_of(nodeid: str, group: str) -> str:
    """Return the unit of a test; `group` is the one of its mark, or the test itself."""
    if group != nodeid or nodeid.startswith(ONE_BY_ONE):
        return group
    return nodeid.partition("::")[0]


def process_count() -> int:
    """Return how many processes `-n auto` means."""
    return len(os.sched_getaffinity(0)) + MORE_THAN_CORES if hasattr(os, "sched_getaffinity") else 1


def group_of(fixture: str, nodeid: str) -> str:
    """Return the group of a test that uses a fixture of the session."""
    # So many use a PostgreSQL that one process would still run them when the others have ended; a server more is cheap.
    folder = "/".join(nodeid.split("/")[:2])
    if fixture == "postgres_url":
        return f"{TOGETHER[fixture]} of {folder}"
    return TOWNS.get(nodeid.partition("::")[0], TOGETHER[fixture])


def arrange(items: list[pytest.Item]) -> None:
    """Group the tests that share a fixture with other modules, and put long ones first."""
    for item in items:
        for fixture in TOGETHER.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(group_of(fixture, item.nodeid)))
    items.sort(key=lambda item: next((at for at, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG)))


def note_set_up(fixture: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """Note that one of `ENDED_EARLY` is being set up."""
    if fixture.argname in ENDED_EARLY:
        request.config.stash.setdefault(_RUNNING, {})[fixture.argname] = (fixture, request)


def end_unused(config: pytest.Config, nextitem: pytest.Item | None) -> None:
    """End those of `ENDED_EARLY` that the next test does not use."""
    running = config.stash.get(_RUNNING, {})
    for name in running.keys() - set(getattr(nextitem, "fixturenames", ())):
        fixture, request = running.pop(name)
        fixture.finish(request)
