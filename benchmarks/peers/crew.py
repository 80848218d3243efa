"""The worker processes of one measurement, and their completions, read from shared memory."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from turnstile import Turnstile

from millstream_cli.parent_watch import guarded

_START_S = 60.0
_END_S = 5.0
_TALLY_BYTES = 16
_LOG_CHARS = 2_000
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Score(Struct, frozen=True):
    """The completions of the worker processes so far."""

    completed: int
    last_ns: int
    """When the last one was completed, by the monotonic clock."""
    all_active: bool
    """Every process has completed a job."""


class Crew:
    """Worker processes that have passed the turnstile."""

    def __init__(self, folder: Path, pids: list[int], sessions: list[int], turnstile: Turnstile) -> None:
        self.turnstile = turnstile
        self._tallies = [(folder / str(pid)).open("rb", buffering=0) for pid in pids]
        self._processes = [stat.parent for stat in Path("/proc").glob("[0-9]*/stat") if _session(stat) in sessions]

    def score(self) -> Score:
        """Return the completions so far."""
        rows = [_read(os.pread(tally.fileno(), _TALLY_BYTES, 0)) for tally in self._tallies]
        completed = [row[0] for row in rows]
        return Score(sum(completed), max(row[1] for row in rows), all(completed))

    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes of the commands; 0 where the system does not report them."""
        return sum(_cpu_s(process / "stat") for process in self._processes)

    def close(self) -> None:
        """Close the tallies."""
        for tally in self._tallies:
            tally.close()


@contextmanager
def crew(commands: list[list[str]], beside: list[list[str]], env: Mapping[str, str], cwd: Path) -> Iterator[Crew]:
    """Run worker processes, and let all begin at once; what runs beside them begins before and completes no jobs.

    Raises: TimeoutError; CrewError.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        log = stack.enter_context((folder / "log").open("w+"))
        turnstile = stack.enter_context(Turnstile(folder, _START_S))
        environment = {**env, "BENCH_TALLY": name}
        processes = [stack.enter_context(_started(command, environment, cwd, log)) for command in (*beside, *commands)]
        try:
            pids = turnstile.gather(len(commands))
            working = Crew(folder, pids, [process.pid for process in processes], turnstile)
            stack.callback(working.close)
            turnstile.open()
            yield working
        except (TimeoutError, ConnectionError, StalledError) as error:
            log.seek(0)
            why = "a worker process did not start or answer in time" if isinstance(error, TimeoutError) else error
            raise CrewError(f"{why}\n{log.read()[-_LOG_CHARS:]}") from error


class StalledError(Exception):
    """No job was completed for too long."""


class CrewError(Exception):
    """A worker process failed; the message ends with its output."""


@contextmanager
def _started(command: list[str], env: Mapping[str, str], cwd: Path, log: object) -> Iterator["subprocess.Popen[bytes]"]:
    # Guarded: it ends with this program, however that ends, and all that it started with it.
    process = subprocess.Popen(
        guarded(command), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=cwd
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()


def _read(row: bytes) -> tuple[int, int]:
    completed, last_ns = memoryview(row).cast("Q")
    return completed, last_ns


def _session(stat: Path) -> int:
    try:
        return int(_fields(stat)[3])
    except (OSError, IndexError):
        return 0


def _cpu_s(stat: Path) -> float:
    try:
        fields = _fields(stat)
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _fields(stat: Path) -> list[str]:
    # The name before the bracket may hold spaces.
    return stat.read_text().rpartition(")")[2].split()
