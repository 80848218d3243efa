"""Starts handler processes under their guards, with the surroundings that the worker had when it started."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from millstream_runtime.breakpoint_hook import HANDLER_PROCESS, breakpoint_environ
from millstream_telemetry import configured_logs
from millstream_workers.isolation.crash_file import CrashFile
from millstream_workers.isolation.guard import FOR_THE_WORKER, SIZE_BYTES
from millstream_workers.isolation.line_file import LineFile
from millstream_workers.isolation.surroundings import Surroundings


class Launcher:
    """Starts handler processes for some apps."""

    def __init__(self, app_refs: Sequence[str], line_bytes: int = 0) -> None:
        """`line_bytes` is what the log lines that are kept of an attempt may take."""
        self._app_refs = tuple(app_refs)
        self._line_bytes = line_bytes
        self._surroundings = Surroundings.capture()
        self._is_closed = False

    def launch(self) -> "tuple[subprocess.Popen[bytes], socket.socket, CrashFile, LineFile]":
        """Start a process. Returns: its guard, the worker's end of the channel, its files. Raises: OSError."""
        with ExitStack() as opened:
            crashes, lines = CrashFile(), LineFile(self._line_bytes)
            opened.callback(crashes.close)
            opened.callback(lines.close)
            ours, theirs = socket.socketpair()
            opened.callback(ours.close)
            files = {"channel": theirs.fileno(), "crashes": crashes.descriptor, "lines": lines.descriptor}
            with theirs, _left_alone():
                guard = self._start(files)
                _instruct(guard, self._settings(files))
            ours.setblocking(False)
            opened.pop_all()
            return guard, ours, crashes, lines

    def _start(self, files: Mapping[str, int]) -> "subprocess.Popen[bytes]":
        around = self._surroundings
        # -P: without it the current folder would come first, and a user's `queue.py` hide the standard one.
        command = [sys.executable, "-P", "-m", "millstream_workers.isolation.guard", *self._app_refs]
        return subprocess.Popen(  # noqa: S603 - this package, by this interpreter
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=around.error_output,
            stderr=around.error_output,
            cwd=around.folder,
            env=breakpoint_environ(around.environment, HANDLER_PROCESS),
            umask=around.umask,
            pass_fds=tuple(files.values()),
            start_new_session=True,
        )

    def _settings(self, files: Mapping[str, int]) -> bytes:
        around = self._surroundings
        settings = {
            **files,
            "line_bytes": self._line_bytes,
            "worker": os.getpid(),
            "ignored": around.ignored,
            "blocked": around.blocked,
            "limits": around.limits,
            "nice": around.nice,
            "logs": configured_logs(),
        }
        return msgspec.json.encode(settings)

    def close(self) -> None:
        """Close the error output; nothing can be launched afterwards."""
        if not self._is_closed:
            self._is_closed = True
            os.close(self._surroundings.error_output)


def _instruct(guard: "subprocess.Popen[bytes]", settings: bytes) -> None:
    assert guard.stdin is not None
    with suppress(BrokenPipeError):  # it has died, as its watcher will notice
        guard.stdin.write(len(settings).to_bytes(SIZE_BYTES) + settings)


@contextmanager
def _left_alone() -> Iterator[None]:
    """Block the signals that are for the worker, for which a process that is started in this block is not ready."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_WORKER)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
