"""The supervisor replaces the process of a child by a new one, as a reload does."""

import signal
from functools import partial

import anyio
import pytest
from cli.test_supervisor import IDLE, ON_SIGTERM, Lines, lines, script, supervisor_hears

from millstream_cli.supervisor import SPEAKER, supervise

__all__ = ["lines"]

AT_ONCE = ON_SIGTERM.format(body="print('bye', flush=True); sys.exit()")
ON_THE_SECOND = "told = []" + ON_SIGTERM.format(
    body="""told.append(1)
    print('told', flush=True)
    if len(told) == 2:
        sys.exit()"""
)


async def test_a_child_that_is_replaced_ends_and_starts_at_once(lines: Lines, eventually) -> None:
    """The old process gets a SIGTERM and ends before the new one starts, and its end is no failure."""
    async with supervise([script("a", AT_ONCE, restarts=0), script("b", IDLE)], lines) as supervisor:
        await eventually(lambda: len(lines) == 2, "both children up")
        first, other = supervisor.pid("a"), supervisor.pid("b")
        await supervisor.replace("a", hurry_after_s=600)
        await eventually(lambda: lines.count(("a", "up")) == 2, "the new process is up")
        assert (supervisor.pid("a") != first, supervisor.pid("b")) == (True, other)
    assert [line for name, line in lines if name == "a"] == ["up", "bye", "up", "bye"]
    assert [line for name, line in lines if name == SPEAKER] == []


async def test_a_child_that_does_not_end_is_hurried_and_then_killed(lines: Lines, eventually) -> None:
    """A second SIGTERM hands back what a worker still runs; a child that hangs is killed after the grace."""
    hangs = ON_SIGTERM.format(body="pass")
    specs = [script("slow", ON_THE_SECOND), script("hung", hangs)]
    async with supervise(specs, lines, grace_s=0.3) as supervisor:
        await eventually(lambda: len(lines) == 2, "both children up")
        await supervisor.replace("slow", "hung", hurry_after_s=0.1)
        await eventually(lambda: lines.count(("hung", "up")) == lines.count(("slow", "up")) == 2, "both are up again")
        supervisor.children["slow"].kill()
    assert lines.count(("slow", "told")) >= 2


async def test_a_child_that_waits_to_be_restarted_is_started_at_once(lines: Lines, eventually) -> None:
    """A change may be what the child needs, so it does not wait for the end of its pause."""
    async with supervise([script("a", "exit(3)", restarts=9)], lines) as supervisor:
        await eventually(lambda: (SPEAKER, "a ended with code 3; again in 2 s") in lines, "the fourth end")
        await supervisor.replace("a", hurry_after_s=600)
        await eventually(lambda: len(lines) >= 5, "the next end")
        supervisor.block.cancel()
    # After the whole pause it would have been the fifth end in a row.
    assert lines[4] == (SPEAKER, "a ended with code 3; again in 0.25 s")


async def test_a_child_that_may_wait_is_no_error_and_starts_with_the_next_change(lines: Lines, eventually) -> None:
    """A child that was restarted in vain waits for its replacement, and then may end as often again."""
    hopeless = (SPEAKER, "a ended with code 3; the next change starts it again")
    async with supervise([script("a", "exit(3)"), script("b", IDLE)], lines) as supervisor:
        supervisor.let_wait("a", restarts=1)
        await eventually(lambda: hopeless in lines, "it waits")
        assert (supervisor.children["a"].starts, supervisor.pid("b") is not None) == (2, True)
        await supervisor.replace("a", hurry_after_s=600)
        await eventually(lambda: lines.count(hopeless) == 2, "it waits again")
        assert supervisor.children["a"].starts == 4
        supervisor.block.cancel()


async def test_a_child_that_waits_does_not_hold_up_the_end(lines: Lines, eventually) -> None:
    """A child that waits for a change has nothing to end."""
    async with supervise([script("a", "exit(3)")], lines) as supervisor:
        supervisor.let_wait("a", restarts=0)
        await eventually(lambda: lines, "it waits")
        supervisor.block.cancel()
    assert [line for _, line in lines if "killed" in line] == []


@pytest.mark.parametrize("orders", [1, 2])
async def test_a_stop_during_a_replacement_is_no_second_order(lines: Lines, eventually, orders: int) -> None:
    """A child that drains for a replacement drains on when all are stopped, unless the user hurries."""
    async with supervise([script("a", ON_THE_SECOND)], lines, grace_s=0.5) as supervisor:
        await eventually(lambda: lines, "the child up")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(supervisor.replace, "a", hurry_after_s=600))
            await eventually(lambda: ("a", "told") in lines, "it was told")
            for number in (signal.SIGTERM, signal.SIGINT)[:orders]:
                supervisor_hears(number)
            await anyio.sleep_forever()
    assert (lines.count(("a", "told")), supervisor.children["a"].starts) == (orders, 1)
