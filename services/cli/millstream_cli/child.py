"""One supervised process. It starts under the parent guard, and its output is forwarded line by line."""

import signal
from collections.abc import Callable, Mapping
from subprocess import PIPE, STDOUT

import anyio
from anyio.abc import ByteReceiveStream, Process
from msgspec import Struct

from millstream_cli.parent_watch import guarded

Sink = Callable[[str, str], None]
"""Takes the name of a child and a line of its output."""

_MAX_LINE_BYTES = 64 << 10
_LAST_WORDS_S = 2.0


class ChildSpec(Struct, frozen=True, kw_only=True):
    """A process to supervise."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    """The whole environment; None is that of the supervisor."""
    stage: int = 0
    """Children of the lowest stage stop first, together; the next stage stops after they have ended."""
    restarts: int = 5
    """How often in a row it is restarted when it ends without an order; with 0 its first end is an error."""
    healthy_after_s: float = 30.0
    """A child that ran for this long started well: its earlier ends no longer count."""
    waits_for_change: bool = False
    """Whether a child that was restarted in vain waits for `Supervisor.replace`, and is no error."""


class Child:
    """A spec and its current process."""

    def __init__(self, spec: ChildSpec, sink: Sink) -> None:
        self.spec = spec
        self.starts = 0
        self.leaving = anyio.Event()
        """Set when it is to end and not to be restarted."""
        self.gone = anyio.Event()
        """Set when it has ended for good."""
        self.next_start = anyio.Event()
        """Set at the next start; each start has an event of its own."""
        self.next_order = anyio.Event()
        """Set by the next order to leave or to be replaced; each order has an event of its own."""
        self.is_replaced = False
        """Whether its process has the order to end for a new one, which has not been started yet."""
        self._sink = sink
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id, or None while it does not run."""
        return self._process.pid if self._process else None

    async def run(self) -> int:
        """Run it to its end. Return its exit code, or minus the number of the signal that ended it."""
        process = await anyio.open_process(
            guarded(self.spec.argv), stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=self.spec.env
        )
        async with process:
            self._announce(process)
            try:
                await self._listen(process)
            finally:
                self._process = None
        return await process.wait()

    def leave(self) -> None:
        """End it without a restart. Idempotent: it gets one SIGTERM."""
        if self.leaving.is_set():
            return
        self.leaving.set()
        if not self.is_replaced:
            self._signal(signal.SIGTERM)
        self._tell()

    def replace(self) -> None:
        """End its process for a new one, which starts at once. Idempotent: it gets one SIGTERM."""
        if self.leaving.is_set() or self.is_replaced:
            return
        self.is_replaced = True
        self._signal(signal.SIGTERM)
        self._tell()

    def hurry(self) -> None:
        """Send a second SIGTERM, if it has had the order to end."""
        if self.leaving.is_set() or self.is_replaced:
            self._signal(signal.SIGTERM)

    def show_stacks(self) -> None:
        """Make it write the stacks of its threads."""
        self._signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Send SIGKILL, if it runs."""
        self._signal(signal.SIGKILL)

    def _announce(self, process: Process) -> None:
        self._process = process
        self.starts += 1
        self.is_replaced = False
        if self.leaving.is_set():  # the order came while the process was being started
            self._signal(signal.SIGTERM)
        self.next_start.set()
        self.next_start = anyio.Event()

    def _tell(self) -> None:
        self.next_order.set()
        self.next_order = anyio.Event()

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    async def _listen(self, process: Process) -> None:
        async with anyio.create_task_group() as tasks:
            silent = anyio.Event()
            if process.stdout:
                tasks.start_soon(self._pass_on, process.stdout, silent)
            await process.wait()
            # A process that it started and left behind may keep the output open for ever.
            with anyio.move_on_after(_LAST_WORDS_S):
                await silent.wait()
            tasks.cancel_scope.cancel()

    async def _pass_on(self, output: ByteReceiveStream, silent: anyio.Event) -> None:
        rest = b""
        async for chunk in output:
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            self._say(lines)
        self._say([rest] if rest else [])
        silent.set()

    def _say(self, lines: list[bytes]) -> None:
        for line in lines:
            self._sink(self.spec.name, line.decode(errors="replace").rstrip("\r"))


def describe_exit(code: int) -> str:
    """Return an exit code in words."""
    return f"code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
