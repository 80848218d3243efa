"""The supervisor runs real child processes."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from millstream_cli.child import ChildSpec
from millstream_cli.errors import ChildEndedError, NotReadyError
from millstream_cli.supervisor import SPEAKER, supervise

IDLE = "import time; print('up', flush=True); time.sleep(600)"

ON_SIGTERM = """
import signal, sys, time
def leave(*_):
    {body}
signal.signal(signal.SIGTERM, leave)
print('up', flush=True)
while True: time.sleep(600)
"""

# Answers 503 twice and then 200; prints its port.
SLOW_STARTER = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += 1
        self.send_response({answer})
        self.end_headers()
        self.wfile.write(b'redis is loading')
    def log_message(self, *_): print('asked', flush=True)
server = HTTPServer(('127.0.0.1', 0), Handler)
print('port', server.server_port, flush=True)
server.serve_forever()
"""

SUPERVISOR_THAT_IS_KILLED = f"""
import anyio, sys
from millstream_cli.child import ChildSpec
from millstream_cli.supervisor import supervise
async def main():
    specs = [ChildSpec(name=n, argv=(sys.executable, '-c', {IDLE!r})) for n in ('a', 'b')]
    up = []
    async with supervise(specs, lambda name, line: up.append(name)) as supervisor:
        while len(up) < 2: await anyio.sleep(0.01)
        print(supervisor.pid('a'), supervisor.pid('b'), flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


class Lines(list[tuple[str, str]]):
    """A sink that keeps the lines that it gets."""

    def __call__(self, name: str, line: str) -> None:
        """Keep a line."""
        self.append((name, line))


@pytest.fixture
def lines() -> Lines:
    """Return a sink."""
    return Lines()


def script(name: str, code: str, **options: object) -> ChildSpec:
    """Return the spec of a child that runs this Python code."""
    return ChildSpec(name=name, argv=(sys.executable, "-c", code), **options)


async def test_a_variable_that_is_set_holds_from_the_next_start_on(lines: Lines, eventually) -> None:
    """A variable that is set for a child holds from its next start on, such as the port that it chose."""
    code = "import os, time; print(os.environ.get('PORT', 'none'), flush=True); time.sleep(600)"
    async with supervise([script("a", code, env={"PORT": "0", "KEPT": "x"})], lines) as supervisor:
        await eventually(lambda: ("a", "0") in lines, "the child is up")
        supervisor.set_variable("a", "PORT", "4711")
        await supervisor.kill("a")
        await eventually(lambda: ("a", "4711") in lines, "the child is up again")
        assert supervisor.children["a"].spec.env == {"PORT": "4711", "KEPT": "x"}


async def test_output_is_overheard_also_when_the_sink_takes_no_more(eventually) -> None:
    """The supervisor reads the output of its children also when its sink is closed."""

    def closed(name: str, line: str) -> None:
        raise OSError(errno.EIO, "closed")

    heard = Lines()
    async with supervise(
        [script("a", "print('one', flush=True); print('two', flush=True)", restarts=9)], closed, overhear=heard
    ):
        await eventually(lambda: heard[:2] == [("a", "one"), ("a", "two")], "both lines are heard")


async def test_supervisor_passes_output_on_under_the_childs_name(lines: Lines, eventually) -> None:
    """Both output streams of a child are passed on by the line under its name, also a last line without an end."""
    code = "import sys; print('one'); print('two', file=sys.stderr, flush=True); print('three', end='')"
    async with supervise([script("a", code)], lines) as supervisor:
        await eventually(lambda: len([x for x in lines if x[0] == "a"]) >= 3, "three lines")
        supervisor.block.cancel()
    said = [line for name, line in lines if name == "a"]
    assert set(said) == {"one", "two", "three"}


async def test_supervisor_gives_a_child_its_environment(lines: Lines, eventually) -> None:
    """A child has the variables of its spec and no others."""
    code = "import os, time; print(sorted(set(os.environ) - {'LC_CTYPE'}), flush=True); time.sleep(600)"
    async with supervise([script("a", code, env={"MILLSTREAM_PORT": "1"})], lines):
        await eventually(lambda: lines, "a line")
    assert lines[0] == ("a", "['MILLSTREAM_PORT']")


async def test_supervisor_leaves_no_child_behind_after_its_block(lines: Lines, eventually, is_running) -> None:
    """The end of the block ends the children."""
    async with supervise([script("a", IDLE), script("b", IDLE)], lines) as supervisor:
        await eventually(lambda: len(lines) == 2, "both children up")
        pids = [supervisor.pid("a"), supervisor.pid("b")]
        assert all(map(is_running, pids))
    assert not any(map(is_running, pids))
    assert supervisor.pid("a") is None


async def test_supervisor_raises_the_blocks_own_error(lines: Lines, eventually, is_running) -> None:
    """An error in the block stops the children and is raised as itself."""
    pids = []

    async def fail() -> None:
        async with supervise([script("a", IDLE)], lines) as supervisor:
            await eventually(lambda: lines, "the child up")
            pids.append(supervisor.pid("a"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert not is_running(pids[0])


async def test_supervisor_stops_children_when_the_block_is_cancelled_from_outside(
    lines: Lines, eventually, is_running
) -> None:
    """A cancellation of the block stops the children in order."""
    body = "print('bye', flush=True); sys.exit()"
    pid = 0
    with anyio.CancelScope() as outer:
        async with supervise([script("a", ON_SIGTERM.format(body=body))], lines) as supervisor:
            await eventually(lambda: lines, "the child up")
            pid = supervisor.pid("a")
            outer.cancel()
            await anyio.sleep_forever()
    assert not is_running(pid)
    assert lines[-1] == ("a", "bye")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_the_block_and_stops_stage_after_stage(
    lines: Lines, eventually, number: signal.Signals
) -> None:
    """A signal stops the stages one after the other, so that workers end before their Redis."""
    slowly = ON_SIGTERM.format(body="time.sleep(0.3); print('bye', flush=True); sys.exit()")
    at_once = ON_SIGTERM.format(body="print('bye', flush=True); sys.exit()")
    specs = [script("redis", at_once, stage=1), script("worker", slowly)]
    async with supervise(specs, lines) as supervisor:
        await eventually(lambda: len(lines) == 2, "both children up")
        os.kill(os.getpid(), number)
        await anyio.sleep_forever()
    assert supervisor.signals == [number]
    assert [name for name, line in lines if line == "bye"] == ["worker", "redis"]


async def test_child_gets_one_sigterm_however_it_is_stopped(lines: Lines, eventually) -> None:
    """A child gets one SIGTERM, because a second one would make a worker hand back."""
    body = "print('term', flush=True); threading.Timer(0.3, os._exit, [0]).start()"
    code = "import os, threading" + ON_SIGTERM.format(body=body)
    async with supervise([script("a", code)], lines) as supervisor:
        await eventually(lambda: lines, "the child up")
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervisor.stop)
                await eventually(lambda: ("a", "term") in lines, "the first SIGTERM")
                os.kill(os.getpid(), signal.SIGTERM)
                tasks.start_soon(supervisor.stop)
    assert [line for name, line in lines if name == "a"] == ["up", "term"]


async def test_supervisor_kills_a_child_that_outstays_its_grace(lines: Lines, eventually, is_running) -> None:
    """A child that outstays its grace is killed."""
    async with supervise([script("a", ON_SIGTERM.format(body="pass"))], lines, grace_s=0.1) as supervisor:
        await eventually(lambda: lines, "the child up")
        pid = supervisor.pid("a")
        await supervisor.stop()
        assert supervisor.pid("a") is None
    assert not is_running(pid)
    assert lines[-1] == (SPEAKER, "a did not end within 0.1 s: killed")


async def test_second_signal_hurries_and_a_third_one_kills(lines: Lines, eventually, is_running) -> None:
    """A second signal sends the children a second SIGTERM, and a third one kills them."""
    code = ON_SIGTERM.format(body="print('not yet', flush=True)")
    async with anyio.create_task_group() as tasks:

        async def press_again() -> None:
            for presses in (1, 2):
                await eventually(
                    lambda n=presses: lines.count(("a", "not yet")) == n, "the signal has reached the child"
                )
                os.kill(os.getpid(), signal.SIGINT)

        async with supervise([script("a", code)], lines, grace_s=600.0) as supervisor:
            await eventually(lambda: lines, "the child up")
            pid = supervisor.pid("a")
            tasks.start_soon(press_again)
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep_forever()
    assert supervisor.signals == [signal.SIGINT] * 3
    assert not is_running(pid)


async def test_kill_sees_the_child_come_back(lines: Lines, eventually, is_running) -> None:
    """A child that is killed is started again, and the supervisor says so."""
    async with supervise([script("a", IDLE)], lines) as supervisor:
        await eventually(lambda: lines, "the child up")
        first = supervisor.pid("a")
        second = await supervisor.kill("a")
        assert second == supervisor.pid("a") != first
        assert not is_running(first)
        await eventually(lambda: lines.count(("a", "up")) == 2, "the new child up")
    assert (SPEAKER, "a ended with signal SIGKILL; again in 0.25 s") in lines


async def test_kill_without_restart_lets_the_child_stay_away(lines: Lines, eventually) -> None:
    """A child that is killed without a restart stays away, and the others stay."""
    async with supervise([script("a", IDLE), script("b", IDLE)], lines) as supervisor:
        await eventually(lambda: len(lines) == 2, "both children up")
        assert await supervisor.kill("a", restart=False) is None
        assert supervisor.pid("a") is None
        assert supervisor.pid("b") is not None
        assert supervisor.children["a"].starts == 1


@pytest.mark.parametrize(("restarts", "started"), [(0, ""), (1, " (started 2 times)")])
async def test_child_that_keeps_ending_stops_all_and_is_reported(
    lines: Lines, is_running, restarts: int, started: str
) -> None:
    """A child that keeps ending stops the supervisor with an error."""
    with pytest.raises(ChildEndedError) as caught:
        async with supervise([script("a", IDLE), script("b", "exit(3)", restarts=restarts)], lines) as supervisor:
            await anyio.sleep_forever()
    assert str(caught.value) == f"b ended with code 3{started}; its output above says why"
    assert supervisor.pid("a") is None


async def test_closed_output_stops_the_supervisor(eventually) -> None:
    """A closed output, as in `millstream up | head`, stops the supervisor."""

    def closed(name: str, line: str) -> None:
        raise BrokenPipeError

    async with supervise([script("a", IDLE)], closed) as supervisor:
        await anyio.sleep_forever()
    assert supervisor.pid("a") is None


async def test_signals_that_are_no_order_stop_nothing(lines: Lines, eventually) -> None:
    """A signal that is no order is logged, and the children run on."""
    async with supervise([script("a", IDLE)], lines) as supervisor:
        await eventually(lambda: lines, "the child up")
        for number in (signal.SIGUSR2, signal.SIGALRM):
            supervisor_hears(number)
        await eventually(lambda: len(lines) == 3, "two signals")
        assert supervisor.signals == []
        supervisor.block.cancel()
    assert lines[1:3] == [(SPEAKER, "SIGUSR2 is ignored"), (SPEAKER, "SIGALRM is ignored")]


async def test_a_hang_up_is_never_a_second_order(lines: Lines, eventually) -> None:
    """A second SIGHUP is no second order."""
    code = ON_SIGTERM.format(body="import os; os.kill(os.getppid(), signal.SIGHUP); sys.exit()")
    async with supervise([script("a", code)], lines) as supervisor:
        await eventually(lambda: lines, "the child up")
        supervisor_hears(signal.SIGHUP)
        await anyio.sleep_forever()
    assert supervisor.signals == [signal.SIGHUP]


def supervisor_hears(number: signal.Signals) -> None:
    """Send a signal to this process, in which the supervisor runs."""
    os.kill(os.getpid(), number)


async def test_a_terminal_that_is_gone_is_no_reason_to_stop(tmp_path: Path, eventually) -> None:
    """A supervisor that ignores SIGHUP runs on without its terminal, and writes nothing more to it."""
    written, past = [], tmp_path / "past"

    def gone(name: str, line: str) -> None:
        written.append(line)
        raise OSError(errno.EIO, "Input/output error")

    code = f"import time; print('one\\ntwo', flush=True); open({str(past)!r}, 'w'); time.sleep(600)"
    async with supervise([script("a", code)], gone) as supervisor:
        await eventually(lambda: written and past.exists(), "its lines are written")
        assert supervisor.pid("a") is not None
        supervisor.block.cancel()
    assert len(written) == 1


async def test_a_disk_that_is_full_loses_lines_and_takes_later_ones(eventually) -> None:
    """Lines for a full disk are lost, and later ones are written."""
    written: list[str] = []

    def full_at_first(name: str, line: str) -> None:
        written.append(line)
        if line == "one":
            raise OSError(errno.ENOSPC, "No space left on device")

    code = "import time; print('one', flush=True); print('two', flush=True); time.sleep(600)"
    async with supervise([script("a", code)], full_at_first) as supervisor:
        await eventually(lambda: "two" in written, "the second line")
        supervisor.block.cancel()


async def test_wait_ready_returns_when_every_address_answers_200(lines: Lines, eventually) -> None:
    """`wait_ready` returns when every address answers 200."""
    specs = [script("a", SLOW_STARTER.format(answer="200 if Handler.asked > 2 else 503"))]
    async with supervise(specs, lines) as supervisor:
        await eventually(lambda: lines, "the port")
        port = lines[0][1].split()[1]
        await supervisor.wait_ready(f"http://127.0.0.1:{port}/readyz")
        await eventually(lambda: lines.count(("a", "asked")) == 3, "two refusals and an answer")


async def test_wait_ready_tells_the_last_answer_when_it_gives_up(lines: Lines, eventually) -> None:
    """`wait_ready` gives up with an error that has the last response of each address that is not ready."""
    async with supervise([script("a", SLOW_STARTER.format(answer=503))], lines) as supervisor:
        await eventually(lambda: lines, "the port")
        url = f"http://127.0.0.1:{lines[0][1].split()[1]}/readyz"
        with pytest.raises(NotReadyError) as caught:
            await supervisor.wait_ready(url, timeout_s=0.5)
    assert str(caught.value) == f"not ready after 0.5 s: {url}: 503 redis is loading"


async def test_line_without_end_is_passed_on_in_pieces(lines: Lines, eventually) -> None:
    """A line without an end is passed on in pieces of bounded size."""
    code = "import time; print('x' * 200_000, end='', flush=True); time.sleep(600)"
    async with supervise([script("a", code)], lines):
        await eventually(lambda: sum(len(line) for _, line in lines) >= 64 << 10, "a first piece")


def test_killed_supervisor_leaves_no_child_behind(wait_until, is_running) -> None:
    """SIGKILL of the supervisor ends all children."""
    command = [sys.executable, "-c", SUPERVISOR_THAT_IS_KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert all(map(is_running, pids))
        supervisor.kill()
    wait_until(lambda: not any(map(is_running, pids)), "the end of the orphaned children")
