"""What the embedded servers have in common: a process that is ended with its starter."""

import signal
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_ENDING = (signal.SIGTERM,)


class EmbeddedServer:
    """A running server. A context manager: leaving it ends the server and keeps the data."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", patience_s: float, ending: Sequence[signal.Signals] = _ENDING
    ) -> None:
        """Take the signals that end it, the gentlest first; after each it has `patience_s`, and then comes SIGKILL."""
        self._process = process
        self._patience_s = patience_s
        self._ending = ending

    @property
    def pid(self) -> int:
        """Return the process id of the server itself."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code of the server, or None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """End the server, its data written out. Idempotent."""
        if not any(self._ends_by(number) for number in self._ending):
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ends_by(self, number: signal.Signals) -> bool:
        self._process.send_signal(number)
        try:
            self._process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            return False
        return True
