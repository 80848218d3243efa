"""The rarer ends of supervised processes: left-behind output, restarts, several stages and signals."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from cli.test_supervisor import IDLE, ON_SIGTERM, Lines, lines, script, supervisor_hears

from millstream_cli.child import Child, ChildSpec, describe_exit
from millstream_cli.errors import ChildEndedError
from millstream_cli.supervisor import SPEAKER, Supervisor, backoff_s, supervise

__all__ = ["lines"]

AT_ONCE = ON_SIGTERM.format(body="print('bye', flush=True); sys.exit()")

LEAVES_ANOTHER_BEHIND = """
import subprocess, sys
other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
print(other.pid, flush=True)
sys.exit(3)
"""

WAITS_FOR_A_FILE = """
import pathlib, signal, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))
print('up', flush=True)
while not asked or not pathlib.Path({file!r}).exists():
    if asked and time.monotonic() > asked[0] + 10:
        print('alone', flush=True)
        break
    time.sleep(0.01)
"""


async def test_child_has_ended_although_what_it_left_behind_keeps_its_output_open(lines: Lines) -> None:
    """The end of a child counts, and not the end of its output, which a process that it started may hold."""
    with pytest.raises(ChildEndedError, match="code 3"), anyio.fail_after(60):
        async with supervise([script("a", LEAVES_ANOTHER_BEHIND, restarts=0)], lines):
            await anyio.sleep_forever()
    with suppress(ProcessLookupError):
        os.kill(int(lines[0][1]), signal.SIGKILL)


async def test_child_that_is_told_to_leave_while_it_starts_leaves(lines: Lines) -> None:
    """An order that comes between the start of a process and the moment at which it is known is not lost."""
    for turns in range(12):
        async with supervise([script("a", IDLE)], lines, grace_s=10.0):
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
    assert [line for name, line in lines if name == SPEAKER] == []


async def test_long_line_arrives_once_and_the_next_line_whole(lines: Lines, eventually) -> None:
    """A line that is passed on in pieces loses nothing, and repeats nothing."""
    code = "import time; print('x' * 200_000); print('next', flush=True); time.sleep(600)"
    async with supervise([script("a", code)], lines):
        await eventually(lambda: ("a", "next") in lines, "the next line")
    said = [line for name, line in lines if name == "a"]
    assert ("".join(said[:-1]), said[-1]) == ("x" * 200_000, "next")


async def test_output_that_is_no_text_is_passed_on_all_the_same(lines: Lines, eventually) -> None:
    """Bytes that are no UTF-8 are replaced, the ends of lines of terminals are taken off, and the next line follows."""
    code = r"import os, time; os.write(1, b'a\xffb\r\nnext\n'); time.sleep(600)"
    async with supervise([script("a", code)], lines):
        await eventually(lambda: ("a", "next") in lines, "the next line")
    assert lines[0] == ("a", "a\ufffdb")


async def test_ends_of_a_child_that_ran_well_in_between_do_not_add_up(lines: Lines, eventually) -> None:
    """A child that runs for `healthy_after_s` may end as often as it likes, and is started again soon each time."""
    code = "import time; print('up', flush=True); time.sleep(0.2)"
    async with supervise([script("a", code, restarts=1, healthy_after_s=0.1)], lines) as supervisor:
        await eventually(lambda: supervisor.children["a"].starts >= 4, "four starts")
        supervisor.block.cancel()
    said = {line for name, line in lines if name == SPEAKER}
    assert said == {"a ended with code 0; again in 0.25 s"}


async def test_first_end_of_a_child_without_restarts_is_an_error_also_when_it_ran_well(lines: Lines) -> None:
    """With `restarts=0` a child is not started again, however long it ran."""
    code = "import time; time.sleep(0.2)"
    with pytest.raises(ChildEndedError):
        async with supervise([script("a", code, restarts=0, healthy_after_s=0.1)], lines):
            await anyio.sleep_forever()


def test_pauses_between_restarts_grow_up_to_a_bound() -> None:
    """A child that keeps ending is started again less and less often, and never forgotten for long."""
    assert [backoff_s(ends) for ends in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]
    assert backoff_s(500) == 30.0


async def test_stop_does_not_wait_for_the_next_start_of_a_child(lines: Lines, eventually) -> None:
    """A child that waits to be started again has nothing to end."""
    async with supervise([script("a", "exit(3)", restarts=9)], lines, grace_s=0.2) as supervisor:
        await eventually(lambda: (SPEAKER, "a ended with code 3; again in 2 s") in lines, "the fourth end")
        supervisor.block.cancel()
    assert [line for _, line in lines if "killed" in line] == []


async def test_error_of_the_sink_ends_the_supervisor() -> None:
    """A defect in what takes the lines is raised, after all children are stopped, and hangs nothing."""
    children: list[Child] = []

    def broken(name: str, line: str) -> None:
        raise LookupError(line)

    async def run() -> None:
        with anyio.fail_after(60):
            async with supervise([script("a", IDLE), script("b", IDLE)], broken) as supervisor:
                children.extend(supervisor.children.values())
                await anyio.sleep_forever()

    with pytest.raises((LookupError, ExceptionGroup)):
        await run()
    assert [child.pid for child in children] == [None, None]


async def test_children_of_a_stage_are_told_to_leave_together(lines: Lines, eventually, tmp_path: Path) -> None:
    """Two workers drain side by side, and a system stops in the time of its slowest one."""
    file = tmp_path / "b-was-told"
    tells = ON_SIGTERM.format(body=f"open({str(file)!r}, 'w'); sys.exit()")
    specs = [script("a", WAITS_FOR_A_FILE.format(file=str(file))), script("b", tells)]
    async with supervise(specs, lines) as supervisor:
        await eventually(lambda: len(lines) == 2, "both children up")
        supervisor.block.cancel()
    assert ("a", "alone") not in lines


TOLD_TWICE = ON_SIGTERM.format(
    body="""told.append(1)
    print('told', flush=True)
    if len(told) == 2:
        time.sleep(0.3)
        print('bye', flush=True)
        sys.exit()"""
)


async def run_with_signals(specs: list[ChildSpec], lines: Lines, eventually, hears: str, times: int) -> Supervisor:
    """Run children, and send so many signals, each after the worker has said that it heard the one before."""

    async def press() -> None:
        for pressed in range(times):
            await eventually(lambda n=pressed: lines.count(("worker", hears)) == n, "the signal has reached the worker")
            supervisor_hears(signal.SIGTERM)

    async with anyio.create_task_group() as tasks, supervise(specs, lines) as supervisor:
        await eventually(lambda: len(lines) == len(specs), "all children up")
        tasks.start_soon(press)
        await anyio.sleep_forever()
    return supervisor


async def test_second_signal_hurries_no_child_of_a_later_stage(lines: Lines, eventually) -> None:
    """A Redis whose workers still end is not told to leave before them, however often the user asks."""
    specs = [script("redis", AT_ONCE, stage=1), script("worker", "told = []" + TOLD_TWICE)]
    await run_with_signals(specs, lines, eventually, "told", times=2)
    assert [name for name, line in lines if line == "bye"] == ["worker", "redis"]


async def test_third_signal_ends_children_of_every_stage_for_good(lines: Lines, eventually) -> None:
    """A child of a later stage that is killed before its turn is not started again."""
    specs = [script("redis", IDLE, stage=1), script("worker", ON_SIGTERM.format(body="print('told', flush=True)"))]
    supervisor = await run_with_signals(specs, lines, eventually, "told", times=3)
    assert supervisor.children["redis"].starts == 1
    assert [line for _, line in lines if "again" in line] == []


def test_exit_is_told_in_words() -> None:
    """A code is told as a code, zero included, and a signal by its name."""
    assert [describe_exit(code) for code in (0, 3, -9)] == ["code 0", "code 3", "signal SIGKILL"]


async def test_variable_is_set_beside_those_that_a_child_inherits(lines: Lines, eventually, monkeypatch) -> None:
    """A child without an environment of its own keeps that of the supervisor when one variable is set."""
    monkeypatch.setenv("INHERITED", "x")
    code = "import os, time; print(os.environ['INHERITED'], os.environ.get('PORT'), flush=True); time.sleep(600)"
    async with supervise([script("a", code)], lines) as supervisor:
        await eventually(lambda: ("a", "x None") in lines, "the child is up")
        supervisor.set_variable("a", "PORT", "4711")
        await supervisor.kill("a")
        await eventually(lambda: ("a", "x 4711") in lines, "the child is up again")


async def test_all_stages_are_stopped_when_the_block_is_cancelled_from_outside(lines: Lines, eventually) -> None:
    """A cancelled command still ends the children of every stage, in their order."""
    with anyio.fail_after(60), anyio.CancelScope() as outer:
        async with supervise([script("redis", AT_ONCE, stage=1), script("worker", AT_ONCE)], lines):
            await eventually(lambda: len(lines) == 2, "both children up")
            outer.cancel()
            await anyio.sleep_forever()
    assert [name for name, line in lines if line == "bye"] == ["worker", "redis"]
