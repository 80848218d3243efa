"""Runs a PostgreSQL from the programs of this machine."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from millstream_cli.embedded import free_ports
from millstream_cli.errors import NoPostgresError
from millstream_cli.parent_watch import guarded
from millstream_cli.postgres import finder
from millstream_cli.postgres.finder import PostgresPrograms

_START_S = 60
_ACCEPTS = re.compile(r"database system is ready to accept (read-only )?connections")
UNSAFE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings without durability, for the data of tests."""


@cache
def find_postgres() -> PostgresPrograms | None:
    """Return the PostgreSQL of this machine; None without one."""
    try:
        return finder.find_postgres()
    except NoPostgresError:
        return None


class LocalPostgres:
    """A PostgreSQL server that trusts every client on loopback."""

    def __init__(self, programs: PostgresPrograms, folder: Path, options: Mapping[str, str]) -> None:
        self._programs = programs
        self._folder = folder
        self._options = options
        (self.port,) = free_ports(1)
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return its address, for the database `postgres`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def create(self) -> None:
        """Create the data directory."""
        command = ["initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([*self._run(*command), "--no-sync"], check=True, capture_output=True)

    def start(self) -> None:
        """Start the server, and return once it accepts connections. Raises: AssertionError with its log."""
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(self.port)}
        words = [word for name, value in (settings | dict(self._options)).items() for word in ("-c", f"{name}={value}")]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                guarded(self._run("postgres", "-D", str(self._data), *words)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        give_up_at = time.monotonic() + _START_S
        while not _ACCEPTS.search(self._log.read_text()):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < give_up_at, self._log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server at once, as a power cut does; committed data is there at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_START_S)
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def become_standby(self) -> None:
        """Start again as a standby whose primary never responds."""
        self.stop()
        (self._data / "standby.signal").touch()
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *words: str) -> list[str]:
        """Return the command line of one of its programs, as another user where we are root, which it refuses."""
        account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        return [*account, str(self._programs.folder / program), *words]


@contextmanager
def local_postgres(programs: PostgresPrograms, options: Mapping[str, str] = UNSAFE) -> Iterator[LocalPostgres]:
    """Run a server while the block lasts."""
    # Not in the folder of a test: that is closed to any other account.
    with tempfile.TemporaryDirectory(prefix="millstream-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = LocalPostgres(programs, folder, options)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
