"""The surroundings that a new process inherits from a worker, as they were when the worker started.

A handler on the loop or in a thread may change the working directory, the environment, the file mode mask, signals,
limits or the error output of its worker; the handler processes that are started later have none of that.
"""

import os
import resource
import signal

from msgspec import Struct

_LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]


class Surroundings(Struct, frozen=True):
    """The surroundings of a process. The error output is a file descriptor that the holder closes."""

    folder: str | None
    environment: dict[str, str]
    umask: int
    ignored: list[int]
    """The ignored signals."""
    blocked: list[int]
    limits: dict[str, tuple[int, int]]
    nice: int
    error_output: int

    @classmethod
    def capture(cls) -> "Surroundings":
        """Return the surroundings of this process."""
        return cls(
            folder=_folder(),
            environment=dict(os.environ),
            umask=current_umask(),
            ignored=[number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN],
            blocked=[int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
            limits={name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
            nice=os.getpriority(os.PRIO_PROCESS, 0),
            error_output=_copy_of_error_output(),
        )


def current_umask() -> int:
    """Return the file mode mask, which can be read only by setting it; meanwhile it is a strict one."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a Path would be made a string again
    except FileNotFoundError:
        return None


def _copy_of_error_output() -> int:
    try:
        return os.dup(2)
    except OSError:  # a daemon may have none
        return os.open(os.devnull, os.O_WRONLY)
