"""The file into which a handler process writes its stack when a signal ends it, and which its worker reads.

It has no name and both have it open. The interpreter writes it from within the signal handler (faulthandler), so the
process needs neither memory nor locks to do so.
"""

import faulthandler
import os
import re
import tempfile

from millstream_telemetry import calls_handlers, is_ours, storable

_MAX_BYTES = 65_536
_FRAME = re.compile(r'^  File "(?P<file>.*)", line \d+ in .*$')


def write_crashes(descriptor: int) -> None:
    """Write the stack of this process to a file when a signal ends it, and not those of processes that it forks."""
    os.set_inheritable(descriptor, False)
    faulthandler.enable(file=descriptor, all_threads=False)
    os.register_at_fork(after_in_child=faulthandler.disable)


class CrashFile:
    """The worker's side of one process's file."""

    def __init__(self) -> None:
        """Make the file. Raises: OSError."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it is open as long as its process lives

    @property
    def descriptor(self) -> int:
        """The descriptor that the process inherits."""
        return self._file.fileno()

    def read(self) -> str:
        """Return the frames of users' code at the crash, outermost first; empty when there was none."""
        if self._file.closed:
            return ""
        return crash_stack(os.pread(self.descriptor, _MAX_BYTES, 0).decode(errors="replace"))

    def close(self) -> None:
        """Close the worker's end."""
        self._file.close()


def crash_stack(written: str) -> str:
    """Return the frames of users' code in what faulthandler has written, outermost first."""
    frames: list[str] = []
    for line in written.splitlines():
        found = _FRAME.match(line)
        if found is None:
            continue
        if calls_handlers(found["file"]):
            break
        if not is_ours(found["file"]):
            frames.append(line)
    return storable("".join(f"{frame}\n" for frame in reversed(frames)))
