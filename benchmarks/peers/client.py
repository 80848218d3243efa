"""The driver's side of a submitting process: it sends orders and reads times."""

import json
import selectors
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

_ANSWER_S = 300.0
_END_S = 10.0


class Took(Struct, frozen=True):
    """The cost of an order for the submitting process, in seconds."""

    took_s: float = 0.0
    cpu_s: float = 0.0


class ClientError(Exception):
    """The submitting process did not respond."""


class Client:
    """A submitting process that is connected and idle."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._answers = selectors.DefaultSelector()
        self._answers.register(process.stdout, selectors.EVENT_READ)
        self._read()

    def fill(self, job: str, count: int) -> Took:
        """Submit this number of jobs. Raises: ClientError."""
        return self._order(job, count)

    def stamp(self) -> None:
        """Submit one job that carries its time of submission. Raises: ClientError."""
        self._order("stamp", 1)

    def close(self) -> None:
        """Close the pipe."""
        self._answers.close()

    def _order(self, job: str, count: int) -> Took:
        self._process.stdin.write(json.dumps([job, count]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Took:
        # One answer an order: nothing can be left in the text buffer while the pipe is asked.
        if not self._answers.select(_ANSWER_S):
            raise ClientError(f"no answer within {_ANSWER_S:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise ClientError(f"it ended with code {self._process.wait(_END_S)}")
        return Took(**json.loads(line))


@contextmanager
def client(command: list[str], env: Mapping[str, str], cwd: Path) -> Iterator[Client]:
    """Run the submitting process; the end of its input ends it. Raises: ClientError."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=cwd)
    try:
        connected = Client(process)
        try:
            yield connected
        finally:
            connected.close()
    finally:
        process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
