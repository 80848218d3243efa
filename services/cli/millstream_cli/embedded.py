"""The embedded Redis: a server on 127.0.0.1 for `up`, `demo` and tests.

It keeps its data in a folder, so the next start continues where this one ended. It ends with the process that
started it, even when that is killed.
"""

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import Enum
from functools import partial
from pathlib import Path

from millstream_cli.embedded_server import EmbeddedServer
from millstream_cli.errors import PortInUseError, RedisStartError
from millstream_cli.folder_lock import lock_folder, write_holder
from millstream_cli.parent_watch import guarded
from millstream_cli.redis_finder import RedisBinary, find_redis
from millstream_cli.server_log import ServerLog

HOST = "127.0.0.1"
LOG_NAME = "redis.log"

PATIENCE_S = 20.0
"""How long a server may say nothing at its start, and take to end. Loading takes as long as it takes."""

_PORT_TRIES = 5

# - everysec loses one second at most, on a power cut; a killed server loses nothing.
# - noeviction: a full Redis refuses new jobs and never forgets accepted ones.
# - A job's spec stays inside the compact encoding of a small hash up to 1,024 bytes: 576 bytes a job instead
#   of 1,009. The setting has its old name, the only one that 6.2 knows; 7 to 9 take it as an alias.
# - To delete an entry Redis walks its node from the first one, deleted ones included: with 16 entries to a node
#   instead of 100 a committed job costs it 5 to 8 % less. A stuck entry pins fewer others, too.
_OPTIONS = {
    "bind": HOST,
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "hash-max-ziplist-value": "1024",
    "stream-node-max-entries": "16",
}


class _Answer(Enum):
    READY = 1
    LOADING = 2
    NONE = 3


class EmbeddedRedis(EmbeddedServer):
    """A running Redis."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", binary: RedisBinary, folder: Path, port: int, patience_s: float
    ) -> None:
        super().__init__(process, patience_s)
        self.binary = binary.path
        self.version = binary.version
        self.folder = folder
        self.port = port

    @property
    def url(self) -> str:
        """Return the address for a client."""
        return f"redis://{HOST}:{self.port}/0"


def free_ports(count: int) -> list[int]:
    """Return ports that are free at this moment. Another process may take one before it is used."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def start_embedded_redis(
    folder: Path,
    port: int | None = None,
    *,
    binary: RedisBinary | None = None,
    pick_port: Callable[[], int] = lambda: free_ports(1)[0],
    look_up: Callable[[], None] = lambda: None,
    patience_s: float = PATIENCE_S,
) -> EmbeddedRedis:
    """Start a server on this data folder and return once it answers, its data loaded.

    Without a port it takes one that `pick_port` returns, and the next when that was taken meanwhile. Its log is
    `redis.log` in the folder. While it waits it calls `look_up` again and again, and gives up when that raises.

    Raises: NoRedisError; RedisStartError, with the end of the server's log; FolderInUseError; PortInUseError.
    """
    chosen = binary or find_redis()
    try:
        folder = folder.resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # payloads are private to the user
        with lock_folder(folder, look_up) as lock:
            start = partial(_start, chosen, folder, lock=lock, look_up=look_up, patience_s=patience_s)
            return _start_on_free_port(start, pick_port) if port is None else start(port=port)
    except OSError as error:
        raise RedisStartError(f"cannot keep Redis data in {folder}: {error.strerror}") from error


def _start_on_free_port(start: Callable[..., EmbeddedRedis], pick_port: Callable[[], int]) -> EmbeddedRedis:
    # For Redis, port 0 means "do not listen". So a free port is picked here, and another process may take it first.
    for _ in range(_PORT_TRIES - 1):
        with suppress(PortInUseError):
            return start(port=pick_port())
    return start(port=pick_port())


def _start(
    binary: RedisBinary, folder: Path, port: int, *, lock: int, look_up: Callable[[], None], patience_s: float
) -> EmbeddedRedis:
    log = ServerLog.at_its_end(folder / LOG_NAME)
    with ExitStack() as undo:
        with log.path.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603
                guarded(_command(binary, folder, port)),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
            )
        server = EmbeddedRedis(process, binary, folder, port, patience_s)
        undo.callback(server.close)
        write_holder(lock, process.pid)
        _wait_until_ready(process, port, log, look_up, patience_s)
        undo.pop_all()
    return server


def _command(binary: RedisBinary, folder: Path, port: int) -> list[str]:
    options = {**_OPTIONS, "port": str(port), "dir": str(folder)}
    return [str(binary.path), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", port: int, log: ServerLog, look_up: Callable[[], None], patience_s: float
) -> None:
    deadline = time.monotonic() + patience_s
    while process.poll() is None:
        answer = _ask(port, process.pid)
        if answer is _Answer.READY:
            return
        if answer is _Answer.LOADING:  # loading takes time in proportion to the data
            deadline = time.monotonic() + patience_s
        elif time.monotonic() > deadline:
            raise RedisStartError(f"Redis does not answer on port {port}; {log.end}")
        look_up()
        time.sleep(0.01)
    if "Address already in use" in log.end:
        raise PortInUseError(port)
    raise RedisStartError(f"Redis ended at its start with code {process.returncode}; {log.end}")


def _ask(port: int, pid: int) -> _Answer:
    # A plain socket, because only `millstream_streams` speaks Redis, and it connects to servers that are ready. The
    # pid tells this server from another one on the same port.
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(b"INFO server\r\nPING\r\n")
            with connection.makefile("rb") as replies:
                head = replies.readline()
                info = replies.read(int(head[1:]) + 2) if head.startswith(b"$") else b""
                pong = replies.readline()
    except (OSError, ValueError):  # nothing listens yet, or it is no Redis
        return _Answer.NONE
    if f"process_id:{pid}\r\n".encode() not in info:
        return _Answer.NONE
    if pong.startswith(b"-LOADING"):
        return _Answer.LOADING
    return _Answer.READY if pong == b"+PONG\r\n" else _Answer.NONE
