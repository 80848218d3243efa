"""Runs the services of one machine as child processes, for `up` and `demo`.

It starts a child again that ends unasked, stops them in stages, and leaves none behind: not when it fails, and
not when it is killed.
"""

import errno
import math
import os
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby

import anyio
from anyio.abc import TaskGroup, TaskStatus
from msgspec.structs import replace

from millstream_cli.child import Child, ChildSpec, Sink, describe_exit
from millstream_cli.errors import ChildEndedError
from millstream_cli.readiness import wait_until_ready
from millstream_runtime import STACK_SIGNALS, stop_signals, unwrapped

SPEAKER = "supervisor"
"""The name under which the supervisor's own lines reach the sink."""

_IDLE_SIGNALS = (signal.SIGUSR2, signal.SIGALRM)
_FIRST_BACKOFF_S = 0.25
_MAX_BACKOFF_S = 30.0


@asynccontextmanager
async def supervise(
    specs: Sequence[ChildSpec], sink: Sink, *, grace_s: float = 30.0, overhear: Sink | None = None
) -> AsyncIterator["Supervisor"]:
    """Run the children while the block lasts; then stop them, stage by stage.

    The first SIGTERM, SIGINT or SIGHUP cancels the block, without an error, and so does a child that cannot be kept
    running. A second signal reaches the children as a second SIGTERM, by which workers hand back at once what still
    runs; a third one kills. SIGHUP is never a second one, and none where it was ignored from the start. SIGUSR1 and
    SIGQUIT go on to the children, which show their stacks. Each child has `grace_s` to end by itself. `overhear` gets
    the lines of the children too, and goes on when the sink takes no more. Run it in the main thread: signals are heard
    only there. The block may start further children.

    Raises: ChildEndedError, after all are stopped, when a child could not be kept running.
    """
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            supervisor = Supervisor(tasks, sink, grace_s, overhear)
            await tasks.start(supervisor.heed_signals)
            try:
                supervisor.start(specs)
                with supervisor.block:
                    yield supervisor
            finally:
                with anyio.CancelScope(shield=True):
                    await supervisor.stop()
                tasks.cancel_scope.cancel()
    if supervisor.failure:
        raise supervisor.failure


class Supervisor:
    """What the block of `supervise` talks to."""

    def __init__(self, tasks: TaskGroup, sink: Sink, grace_s: float, overhear: Sink | None = None) -> None:
        self.block = anyio.CancelScope()
        """The block of `supervise`; cancelling it stops the children."""
        self.failure: ChildEndedError | None = None
        self.signals: list[signal.Signals] = []
        """Stop signals so far, in order."""
        self.children: dict[str, Child] = {}
        self._tasks = tasks
        self._overhear = overhear
        self._sink: Sink | None = sink
        self._grace_s = grace_s

    def start(self, specs: Iterable[ChildSpec]) -> None:
        """Start further children. They are stopped with the others."""
        for spec in specs:
            child = self.children[spec.name] = Child(spec, self._hear)
            self._tasks.start_soon(self.keep, child)

    def pid(self, name: str) -> int | None:
        """Return a child's process id, or None while it does not run. Raises: KeyError."""
        return self.children[name].pid

    def set_variable(self, name: str, variable: str, value: str) -> None:
        """Give a child another value of a variable, from its next start on. Raises: KeyError."""
        child = self.children[name]
        inherited = os.environ if child.spec.env is None else child.spec.env
        child.spec = replace(child.spec, env={**inherited, variable: value})

    def let_wait(self, name: str, *, restarts: int) -> None:
        """Let a child wait for `replace` after this many restarts in vain, in place of an error. Raises: KeyError."""
        child = self.children[name]
        child.spec = replace(child.spec, restarts=restarts, waits_for_change=True)

    async def wait_ready(self, *urls: str, timeout_s: float = 60.0) -> None:
        """Wait until every address answers 200. Raises: NotReadyError."""
        await wait_until_ready(urls, timeout_s=timeout_s)

    async def kill(self, name: str, *, restart: bool = True) -> int | None:
        """Send a child SIGKILL and wait until it runs again; without `restart`, until it has ended for good.

        Returns the new process id, None without `restart`. Raises: KeyError.
        """
        child = self.children[name]
        if not restart:
            child.leaving.set()
            child.kill()
            await child.gone.wait()
            return None
        again = child.next_start
        child.kill()
        await again.wait()
        return child.pid

    async def replace(self, *names: str, hurry_after_s: float) -> None:
        """Replace the processes of children, side by side, and wait until the new ones have been started.

        Each gets a SIGTERM, after `hurry_after_s` a second one, and is killed after `grace_s`. Raises: KeyError.
        """
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(self._replace, self.children[name], hurry_after_s)

    async def _replace(self, child: Child, hurry_after_s: float) -> None:
        again = child.next_start
        child.replace()
        for patience_s, insist in ((hurry_after_s, child.hurry), (self._grace_s, child.kill)):
            with anyio.move_on_after(patience_s):
                await again.wait()
                return
            insist()
        await again.wait()

    async def stop(self) -> None:
        """End all children, the lowest stage first. Idempotent."""
        ordered = sorted(self.children.values(), key=_stage)
        for _, stage in groupby(ordered, key=_stage):
            await self._stop_stage(list(stage))

    async def heed_signals(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Stop on the first signal, hurry on the second, kill on the third. `supervise` runs this."""
        with anyio.open_signal_receiver(*stop_signals(), *STACK_SIGNALS, *_IDLE_SIGNALS) as received:
            task_status.started()
            async for number in received:
                if number in STACK_SIGNALS:
                    for child in self.children.values():
                        child.show_stacks()
                elif number in _IDLE_SIGNALS:
                    self.show(SPEAKER, f"{number.name} is ignored")
                # A terminal that closes sends several SIGHUP; only the first counts.
                elif number is not signal.SIGHUP or not self.signals:
                    self._heed_order(number)

    def _heed_order(self, number: signal.Signals) -> None:
        self.signals.append(number)
        match len(self.signals):
            case 1:
                if self.children:
                    self.show(SPEAKER, f"{number.name}: stopping; a second one hurries, a third one kills")
                self.block.cancel()
            case 2:
                self._hurry()
            case _:
                self._kill_all()

    async def keep(self, child: Child) -> None:
        """Run a child, and restart it, until it gets the order to leave. `supervise` runs this."""
        # Shielded: children end in the order of `stop`, never all at once by a cancellation.
        with anyio.CancelScope(shield=True):
            try:
                await self._run_again_and_again(child)
            finally:
                child.gone.set()

    async def _run_again_and_again(self, child: Child) -> None:
        ends_in_a_row = 0
        while not child.leaving.is_set():
            started_at = anyio.current_time()
            code = await child.run()
            if child.leaving.is_set():
                return
            if child.is_replaced:
                ends_in_a_row = 0
                continue
            was_healthy = anyio.current_time() - started_at >= child.spec.healthy_after_s
            ends_in_a_row = 1 if was_healthy else ends_in_a_row + 1
            if ends_in_a_row > child.spec.restarts and not child.spec.waits_for_change:
                self._fail(ChildEndedError(child.spec.name, describe_exit(code), child.starts))
                return
            await self._pause(child, code, ends_in_a_row)
            if child.is_replaced:
                ends_in_a_row = 0

    async def _pause(self, child: Child, code: int, ends_in_a_row: int) -> None:
        """Wait for as long as a child that ended is not to be started again, but for no order."""
        is_hopeless = ends_in_a_row > child.spec.restarts
        delay_s = math.inf if is_hopeless else backoff_s(ends_in_a_row)
        then = "the next change starts it again" if is_hopeless else f"again in {delay_s:g} s"
        self.show(SPEAKER, f"{child.spec.name} ended with {describe_exit(code)}; {then}")
        with anyio.move_on_after(delay_s):
            await child.next_order.wait()

    async def _stop_stage(self, children: list[Child]) -> None:
        for child in children:
            child.leave()
        with anyio.move_on_after(self._grace_s):
            await _all_gone(children)
        for child in children:
            if not child.gone.is_set():
                self.show(SPEAKER, f"{child.spec.name} did not end within {self._grace_s:g} s: killed")
                child.kill()
        await _all_gone(children)

    def _hurry(self) -> None:
        for child in self.children.values():
            child.hurry()

    def _kill_all(self) -> None:
        for child in self.children.values():
            child.leave()
            child.kill()

    def _fail(self, failure: ChildEndedError) -> None:
        self.failure = self.failure or failure
        self.block.cancel()

    def _hear(self, name: str, line: str) -> None:
        if self._overhear is not None:
            self._overhear(name, line)
        self.show(name, line)

    def show(self, name: str, line: str) -> None:
        """Give the sink a line, if it still takes some."""
        if self._sink is None:
            return
        try:
            self._sink(name, line)
        except BrokenPipeError:  # the reader has left, as in `millstream up | head`
            self._sink = None
            self.block.cancel()
        except OSError as error:
            # A closed terminal stays closed, and is no order to stop: that is what SIGHUP is for. A full disk may take
            # the next line.
            self._sink = None if error.errno == errno.EIO else self._sink


def backoff_s(ends_in_a_row: int) -> float:
    """Return the pause before a child is started again, after this many ends in a row (1 or more)."""
    return min(_FIRST_BACKOFF_S * 2.0 ** (ends_in_a_row - 1), _MAX_BACKOFF_S)


def _stage(child: Child) -> int:
    return child.spec.stage


async def _all_gone(children: Iterable[Child]) -> None:
    for child in children:
        await child.gone.wait()
