"""The embedded Redis meets servers that load for long, say nothing, or do not end: programs that stand in for them."""

import signal
import sys
from pathlib import Path

import pytest

from millstream_cli.embedded import start_embedded_redis
from millstream_cli.errors import FolderInUseError, PortInUseError, RedisStartError
from millstream_cli.folder_lock import LOCK_NAME, lock_folder, write_holder
from millstream_cli.redis_finder import RedisBinary

PATIENCE_S = 0.4

# Takes the port of its command line, and answers with `pong` what is asked of it.
ANSWERS = """
import os, signal, socket, sys, time
port = int(sys.argv[sys.argv.index('--port') + 1])
info = b'process_id:%d\\r\\n' % os.getpid()
begun = time.monotonic()
with socket.create_server(('127.0.0.1', port)) as server:
    while True:
        with server.accept()[0] as asked:
            asked.recv(1000)
            asked.sendall(b'$%d\\r\\n%s\\r\\n' % (len(info), info) + {pong})
"""
LOADS = ANSWERS.format(pong="(b'-LOADING\\r\\n' if time.monotonic() < begun + 3 * 0.4 else b'+PONG\\r\\n')")
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + ANSWERS.format(pong="b'+PONG\\r\\n'")
SAYS_NOTHING = "import time; time.sleep(600)"


@pytest.fixture
def program(tmp_path: Path):
    """Return a function that makes a server program of some Python."""

    def make(code: str) -> RedisBinary:
        path = tmp_path / "server"
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(0o755)
        return RedisBinary(path, "7.0.0")

    return make


def test_start_waits_for_as_long_as_the_server_loads(tmp_path, program) -> None:
    """A server that loads its data is waited for longer than one that says nothing."""
    with start_embedded_redis(tmp_path / "data", binary=program(LOADS), patience_s=PATIENCE_S) as server:
        assert server.returncode is None


def test_start_gives_up_on_a_server_that_says_nothing(tmp_path, program, is_running) -> None:
    """A server that never answers is ended, and the folder is free again."""
    for _ in range(2):
        with pytest.raises(RedisStartError, match="does not answer on port"):
            start_embedded_redis(tmp_path / "data", binary=program(SAYS_NOTHING), patience_s=PATIENCE_S)


def test_start_gives_up_when_it_is_told_to(tmp_path, program) -> None:
    """What `look_up` raises ends the start, and the server with it."""
    looks = iter([None, None])

    def look_up() -> None:
        next(looks)

    folder = tmp_path / "data"
    with pytest.raises(StopIteration):
        start_embedded_redis(folder, binary=program(SAYS_NOTHING), look_up=look_up)
    with lock_folder(folder):
        pass


def test_close_kills_a_server_that_does_not_end(tmp_path, program) -> None:
    """A server that ignores SIGTERM is killed after the same patience."""
    with start_embedded_redis(tmp_path / "data", binary=program(STUBBORN), patience_s=PATIENCE_S) as server:
        pass
    assert server.returncode == -signal.SIGKILL


def test_an_older_line_of_the_log_explains_no_later_failure(tmp_path, program) -> None:
    """The log goes on from start to start, and only what this start has written says why it failed."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "redis.log").write_text("bind: Address already in use\n")
    with pytest.raises(RedisStartError, match="code 3") as caught:
        start_embedded_redis(folder, binary=program("raise SystemExit(3)"))
    assert not isinstance(caught.value, PortInUseError)
    assert "Address" not in str(caught.value)


def test_data_is_readable_by_its_user_alone(tmp_path, program) -> None:
    """The folder and its lock are closed to others, because payloads are in it."""
    folder = tmp_path / "data"
    with start_embedded_redis(folder, binary=program(LOADS)):
        modes = [path.stat().st_mode & 0o777 for path in (folder, folder / LOCK_NAME)]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize(
    ("written", "says"), [(["4194304", "77"], "the Redis with pid 77"), (["not a pid"], "another Redis")]
)
def test_holder_of_a_folder_is_named_as_far_as_it_is_known(tmp_path, written, says) -> None:
    """The pid of the last holder stands alone in the lock, and anything else in it is no pid."""
    with lock_folder(tmp_path) as lock:
        for pid in written:
            write_holder(lock, pid)  # type: ignore[arg-type]
        with pytest.raises(FolderInUseError, match=says), lock_folder(tmp_path):
            pass
