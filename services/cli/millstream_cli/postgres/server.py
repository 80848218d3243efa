"""The embedded PostgreSQL: a server on a Unix socket for `up`, `demo` and tests.

It keeps its data in a folder, one for each major version. It ends with the process that started it, even when that is
killed.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from millstream_cli.embedded_server import EmbeddedServer
from millstream_cli.errors import PostgresStartError
from millstream_cli.folder_lock import lock_folder, write_holder
from millstream_cli.parent_watch import guarded
from millstream_cli.postgres.account import Account, choose_account
from millstream_cli.postgres.data_folder import USER, DataFolder, open_data_folder, reachable_folder, set_up
from millstream_cli.postgres.finder import PostgresPrograms, find_postgres
from millstream_cli.server_log import ServerLog

PATIENCE_S = 30.0
"""How long a server may take to accept connections, and to end. Recovery after a power cut is part of the first."""
DATABASE = "postgres"

_PORT = 5432
# SIGTERM would wait for the clients, SIGINT disconnects them, SIGQUIT leaves the next start a recovery.
_ENDING = (signal.SIGINT, signal.SIGQUIT)
_STATUS_LINE = 7
# - Only the socket: its folder is closed to other users, so that nothing needs a password.
# - Without waiting for the disk at each commit a power cut loses less than a second, as with the embedded Redis; a
#   killed server loses nothing.
_OPTIONS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "max_connections": "50",
    "jit": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
}


class EmbeddedPostgres(EmbeddedServer):
    """A running PostgreSQL."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", programs: PostgresPrograms, folder: DataFolder, patience_s: float
    ) -> None:
        super().__init__(process, patience_s, _ENDING)
        self._folder = folder
        self.version = programs.version
        self.folder = folder.folder

    @property
    def url(self) -> str:
        """Return the address for a client."""
        # With the port, because a variable PGPORT is for another server.
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._folder.sockets), safe='')}&port={_PORT}"

    def close(self) -> None:
        """End the server; its clients are disconnected. Idempotent."""
        super().close()
        self._folder.forget_sockets()


def start_embedded_postgres(
    folder: Path,
    programs: PostgresPrograms | None = None,
    *,
    look_up: Callable[[], None] = lambda: None,
    patience_s: float = PATIENCE_S,
) -> EmbeddedPostgres:
    """Start a server with its data below this folder, and return once it accepts connections.

    Its log is `postgres.log` beside the data. While it waits it calls `look_up` again and again, and gives up when
    that raises.

    Raises: NoPostgresError; PostgresStartError, with the end of the server's log; FolderInUseError.
    """
    chosen, account = programs or find_postgres(), choose_account()
    try:
        parent = reachable_folder(folder.resolve(), account)
        opened = open_data_folder(parent, chosen, account)
        with lock_folder(opened.folder, look_up, server="PostgreSQL") as lock, ExitStack() as undo:
            undo.callback(opened.forget_sockets)
            set_up(opened, chosen, account, lock, look_up)
            server = _start(chosen, opened, account, lock, look_up, patience_s)
            undo.pop_all()
    except OSError as error:
        raise PostgresStartError(f"cannot keep the data of PostgreSQL in {folder}: {error.strerror}") from error
    return server


def _start(
    programs: PostgresPrograms,
    folder: DataFolder,
    account: Account,
    lock: int,
    look_up: Callable[[], None],
    patience_s: float,
) -> EmbeddedPostgres:
    log = ServerLog.at_its_end(folder.log)
    with ExitStack() as undo:
        with folder.log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603
                guarded(
                    _command(programs, folder), end_with=_ENDING[0], account=account.ids if account.changes else None
                ),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd="/",
                env=account.environ(os.environ, folder.folder),
                pass_fds=(lock,),
            )
        server = EmbeddedPostgres(process, programs, folder, patience_s)
        undo.callback(server.close)
        write_holder(lock, process.pid)
        _wait_until_ready(process, folder, log, look_up, patience_s)
        undo.pop_all()
    return server


def _command(programs: PostgresPrograms, folder: DataFolder) -> list[str]:
    options = {**_OPTIONS, "unix_socket_directories": _quoted(folder.sockets)}
    words = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    return [str(programs.folder / "postgres"), "-D", str(folder.data), *words]


def _quoted(path: Path) -> str:
    """Return a path as an item of a list of the server, where commas separate items."""
    return '"' + str(path).replace('"', '""') + '"'


def _wait_until_ready(
    process: "subprocess.Popen[bytes]",
    folder: DataFolder,
    log: ServerLog,
    look_up: Callable[[], None],
    patience_s: float,
) -> None:
    deadline = time.monotonic() + patience_s
    while process.poll() is None:
        if _is_ready(folder.data / "postmaster.pid", process.pid):
            return
        if time.monotonic() > deadline:
            raise PostgresStartError(f"PostgreSQL is not ready after {patience_s:g} s; {log.end}")
        look_up()
        time.sleep(0.01)
    raise PostgresStartError(f"PostgreSQL ended at its start with code {process.returncode}; {log.end}")


def _is_ready(pid_file: Path, pid: int) -> bool:
    """Return what the server says of itself. Source: postmaster.pid, as `pg_ctl` reads it."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > _STATUS_LINE and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == "ready"
