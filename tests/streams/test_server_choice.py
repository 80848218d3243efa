"""The exceptions from "on every server" name existing tests."""

import importlib

import pytest
from redis_servers import SERVERS
from streams.server_choice import EVERY_PROGRAM, NOT_ON, ONCE, servers_of

EXCEPTIONS = sorted(EVERY_PROGRAM | ONCE.keys() | {name for names in NOT_ON.values() for name in names})


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_names_a_test_that_exists(name: str) -> None:
    """Each exception names an existing test."""
    module, _, test = name.partition(".")
    found = importlib.import_module(f"streams.{module}")
    assert not test or callable(getattr(found, test))


def test_what_is_no_exception_runs_everywhere(pytestconfig: pytest.Config) -> None:
    """A test without an exception runs on every server."""
    servers = pytestconfig.stash[SERVERS]
    assert servers_of("streams.test_new", "test_it", servers) == list(servers.every.values())
    assert servers_of("streams.test_mutations", "test_it", servers) == [servers.default]
