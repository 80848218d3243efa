"""One process of the fleet, which is started, signalled and measured."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.fault_proxy import HOST, FaultProxy
from listening import announced_url
from msgspec import Struct
from written import whole_lines

from millstream_cli.parent_watch import guarded
from millstream_runtime.announcing import What

TESTS = Path(__file__).parents[1]
APP = "chaos.handlers:app"
NOWHERE_URL = f"http://{HOST}:9"
PRODUCT = ("millstream_cli.main",)
END_WITHIN_S = 30.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


class ServicePlan(Struct, frozen=True, kw_only=True):
    """The command line and environment of a service."""

    name: str
    kind: str
    settings: dict[str, str]
    """MILLSTREAM_* without that prefix."""
    folder: Path
    program: tuple[str, ...] = PRODUCT
    """The module that is run, and words before the name of the service."""

    @property
    def argv(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-P", "-m", *self.program, self.kind, *([APP] if self.kind == "worker" else [])]


class Usage(Struct, frozen=True):
    """The resources that a process has used so far."""

    cpu_s: float = 0.0
    rss_bytes: int = 0


class Service:
    """A place in the fleet, and the process in it."""

    def __init__(self, plan: ServicePlan, proxy: FaultProxy) -> None:
        self.plan = plan
        self.proxy = proxy
        self.is_wanted = False
        """Whether it is to be started again when it ends."""
        self.is_stopped = False
        """Whether it was frozen."""
        self.environ: dict[str, str] = {}
        """Variables beside MILLSTREAM_*, from its next start on."""
        self.pids: list[int] = []
        """The process ids of all processes in this place."""
        self.process: subprocess.Popen[bytes] | None = None
        self.connections_when_fresh = 0
        """How many connections to Redis its first process had when it was ready."""
        self._urls: dict[What, str] = {}
        self._lines_before = 0
        """How many lines earlier processes have written."""
        self._log = plan.folder / f"{plan.name}.log"

    @property
    def name(self) -> str:
        """Return the name, e.g. `worker-1`."""
        return self.plan.name

    @property
    def kind(self) -> str:
        """Return the kind, e.g. `worker`."""
        return self.plan.kind

    def url(self, what: What) -> str:
        """Return the address of the API (`listening`) or of health and metrics (`admin`).

        Until the process has logged it, this is an address where nothing listens.
        """
        if what not in self._urls:
            found = announced_url(self._log, what, after_lines=self._lines_before)
            self._urls |= {what: found} if found else {}
        return self._urls.get(what, NOWHERE_URL)

    @property
    def is_listening(self) -> bool:
        """Return whether the process has logged where it serves the API."""
        return self.url("listening") != NOWHERE_URL

    @property
    def pid(self) -> int:
        """Return the process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Return whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def connections(self) -> int:
        """Return how many connections to Redis the process has through its proxy."""
        return self.proxy.open_connections

    @property
    def exit_code(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return None if self.process is None else self.process.poll()

    def start(self, environ: dict[str, str]) -> None:
        """Start the process, and do not wait for it."""
        ours = {f"MILLSTREAM_{name}": value for name, value in self.plan.settings.items()}
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        self._let_go()
        self._urls.clear()
        self._lines_before = len(self.log_lines())
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                guarded(self.plan.argv),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environ, **ours, **self.environ, "PYTHONPATH": path},
                cwd=self.plan.folder,
            )
        self.is_wanted, self.is_stopped = True, False
        self.pids.append(self.process.pid)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self.is_running:
            os.kill(self.pid, number)
        self.is_stopped = number is signal.SIGSTOP or (self.is_stopped and number is not signal.SIGCONT)

    def end(self) -> None:
        """Kill and collect the process."""
        self.is_wanted = False
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(END_WITHIN_S)
        self._let_go()

    def usage(self) -> Usage:
        """Return the resources that the process has used, or nothing when it has ended."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except (FileNotFoundError, ProcessLookupError):
            return Usage()
        return Usage((int(stat[11]) + int(stat[12])) / _TICKS_PER_S, int(pages) * _PAGE_BYTES)

    def log_lines(self) -> Sequence[str]:
        """Return the log lines of all processes of this place."""
        return whole_lines(self._log)

    def _let_go(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
