"""Errors of the runtime.

ServiceStartError          a service cannot start as it was asked to
├── SettingsError          environment variables or options that cannot be used, all of them at once
├── BindError              the port of a service cannot be listened on
└── AdminBindError         the port for health and metrics cannot be listened on
"""

from collections.abc import Sequence
from typing import ClassVar


class ServiceStartError(Exception):
    """A service cannot start as it was asked to."""

    exit_code: ClassVar[int] = 1


class SettingsError(ServiceStartError):
    """Environment variables or options that cannot be used: one line for each."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class BindError(ServiceStartError):
    """The port of a service cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"cannot listen on {host}:{port}: {reason}")


class AdminBindError(ServiceStartError):
    """The port for health and metrics cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"cannot listen on {host}:{port} for health and metrics: {reason}")
