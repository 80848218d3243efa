"""Decides where the embedded PostgreSQL keeps its data, and sets the data up."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from millstream_cli.errors import PostgresStartError
from millstream_cli.postgres.account import Account
from millstream_cli.postgres.finder import PostgresPrograms

USER = "millstream"
"""The owner of the database. Who can open the socket is this user, and the socket is in a folder of the account."""

COMMON = Path("/var/lib/millstream")
"""Where root has the data kept when the account cannot reach the folder that was asked for."""

_LONGEST_SOCKET_PATH = 107
_SOCKET_NAME = ".s.PGSQL.5432.lock"


class DataFolder(Struct, frozen=True):
    """A folder with the data of one major version; all of it belongs to the account."""

    folder: Path
    sockets: Path

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Return the log of the server."""
        return self.folder / "postgres.log"

    def forget_sockets(self) -> None:
        """Remove the folder of the socket, where it is not beside the data. Idempotent."""
        if self.sockets.parent != self.folder:
            shutil.rmtree(self.sockets, ignore_errors=True)


def reachable_folder(folder: Path, account: Account) -> Path:
    """Return the folder, made, or one below COMMON when the account cannot reach it."""
    folder.mkdir(mode=0o755 if account.changes else 0o700, parents=True, exist_ok=True)
    if account.may_enter(folder):
        return folder
    found = substitute_of(folder)
    found.mkdir(mode=0o755, parents=True, exist_ok=True)
    return found


def substitute_of(folder: Path) -> Path:
    """Return the folder below COMMON that stands for one that the account cannot reach."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return COMMON / f"postgres-{digest}"


def open_data_folder(parent: Path, programs: PostgresPrograms, account: Account) -> DataFolder:
    """Return the folder of this major version below `parent`, made if it is missing."""
    folder = parent / f"pg{programs.major}"
    folder.mkdir(mode=0o700, exist_ok=True)
    account.own(folder)
    return DataFolder(folder, _sockets_in(folder, account))


def set_up(
    folder: DataFolder, programs: PostgresPrograms, account: Account, lock: int, look_up: Callable[[], None]
) -> None:
    """Make the data directory, if it is missing. Raises: PostgresStartError."""
    if folder.data.exists():
        return
    # A set-up that is interrupted leaves a folder of another name.
    unfinished = folder.folder / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    options = ("--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
    command = [str(programs.folder / "initdb"), "--pgdata", str(unfinished), *options]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=account.environ(os.environ, folder.folder),
            pass_fds=(lock,),
            user=account.uid if account.changes else None,
            group=account.gid if account.changes else None,
            extra_groups=[] if account.changes else None,
        )
        if code := _wait(process, look_up):
            output.seek(0)
            said = output.read().decode(errors="replace").strip().splitlines()
            raise PostgresStartError(f"initdb ended with code {code}; it says:\n" + "\n".join(said[-5:]))
    unfinished.rename(folder.data)


def _wait(process: "subprocess.Popen[bytes]", look_up: Callable[[], None]) -> int:
    try:
        while (code := process.poll()) is None:
            look_up()
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    return code


def _sockets_in(folder: Path, account: Account) -> Path:
    """Return the folder of the socket: beside the data, unless its path is no address of a socket."""
    path = folder / "sockets"
    # In an address a comma separates hosts.
    if len(os.fsencode(path / _SOCKET_NAME)) > _LONGEST_SOCKET_PATH or "," in str(path):
        path = Path(tempfile.mkdtemp(prefix="millstream-", dir="/tmp"))
    path.mkdir(mode=0o700, exist_ok=True)
    account.own(path)
    return path
