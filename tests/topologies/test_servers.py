"""A run says which servers it has, and which are missing."""

from pathlib import Path

import pytest
from redis_servers import Servers
from topologies import servers as servers_module
from topologies.servers import SOURCES, Source, find_servers, name_of

from millstream_cli.redis_finder import RedisBinary


@pytest.mark.parametrize("wanted", [source.wanted for source in SOURCES])
def test_the_store_is_tested_on(wanted: str, servers: Servers) -> None:
    """The store is tested on every line of servers that people run, or the run says why not."""
    for gap in servers.missing:
        if gap.name == wanted:
            pytest.skip(f"no test runs on {wanted}: {gap.reason}")
    assert any(f"{name}.".startswith(f"{wanted}.") for name in servers.every)


@pytest.mark.parametrize("mode", ["sentinel", "cluster"])
def test_the_store_is_tested_under(mode: str, servers: Servers) -> None:
    """The store is tested under Sentinel and on a cluster, too."""
    modes = {source.mode for source in servers.every.values()}
    if mode not in modes:
        pytest.skip(f"no test of the store runs under {mode}: the tests do not start {servers.default.name}")


@pytest.mark.parametrize(
    ("path", "version", "name"),
    [
        ("/usr/bin/redis-server", "7.0.15", "redis-7.0"),
        ("/wheel/redis-server", "8.2.3", "redis-8.2"),
        ("/wheel/valkey-server", "9.1.2", "valkey-9.1"),
    ],
)
def test_a_name_tells_kind_and_version(path: str, version: str, name: str) -> None:
    """The name of a server has its kind and minor version, without the patch."""
    assert name_of(RedisBinary(Path(path), version)) == name


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Leave one source, and a PATH with a program of this version."""

    def leave(source: Source, version: str = "") -> None:
        monkeypatch.setattr(servers_module, "SOURCES", (source,))
        monkeypatch.setenv("PATH", str(tmp_path))
        if version:
            program = tmp_path / source.program
            program.write_text(f"#!/bin/sh\necho Redis server v={version} sha=00000000:0\n")
            program.chmod(0o755)

    return leave


def test_a_server_on_path_is_found(only) -> None:
    """A server on PATH of another version is used under its own name, beside the wanted ones."""
    only(Source("redis-7.0", "redis-server"), "7.0.15")
    found, missing = find_servers()
    assert ([*found], missing) == (["redis-7.0"], [])


def test_a_server_of_another_version_runs_and_the_wanted_one_is_missing(only) -> None:
    """A server of another version is used, and the wanted version counts as missing."""
    only(Source("redis-7.0", "redis-server"), "7.4.1")
    found, (gap,) = find_servers()
    assert [*found] == ["redis-7.4"]
    assert (gap.name, gap.reason) == ("redis-7.0", "PATH has redis-7.4 instead")


@pytest.mark.parametrize("version", ["", "6.0.16"])
def test_a_server_that_is_absent_or_too_old_is_missing_with_a_hint(only, version: str) -> None:
    """A server that is absent or too old is missing, and the report says what to do."""
    only(Source("redis-7.0", "redis-server", hint="install it"), version)
    found, (gap,) = find_servers()
    assert found == {}
    assert gap.reason == "PATH has no redis-server that runs here: install it"


def test_a_wheel_that_is_not_installed_is_named(only) -> None:
    """The report names a wheel that is not installed."""
    only(Source("redis-6.2", "redis-server", "no-such-wheel", "it exists for some"))
    _, (gap,) = find_servers()
    assert gap.reason == "the wheel no-such-wheel is not installed: it exists for some"
