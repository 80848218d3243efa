"""`worker --debug` runs handlers that stop in a debugger."""

from pathlib import Path

import anyio.to_thread
import pytest
from cli.commands import run_program
from cli.terminals import on_terminal
from streams.seeds import job_of, new_job
from waiting import wait_until

from millstream_cli.serving.worker import for_debugging
from millstream_contracts import DEFAULT_TENANT, JobState, JobType, Queue
from millstream_streams import Broker

SHOP = """
from millstream import App, Context

app = App("shop")


@app.job("shop.stop")
async def stop(_: None, ctx: Context) -> int:
    answer = 41
    breakpoint()
    return answer + 1
"""


def test_one_job_at_a_time_may_stand_still_for_an_hour() -> None:
    """The settings of the command line win, as always."""
    assert for_debugging({"concurrency": None, "types": ("a.*",)}) == {
        "types": ("a.*",),
        "concurrency": 1,
        "processes": 1,
        "stalled_loop_s": 3600.0,
        "blocked_loop_s": 0.0,
    }
    assert for_debugging({"concurrency": 5})["concurrency"] == 5


@pytest.mark.parametrize("option", [("--reload",), ("--processes", "2")])
def test_processes_without_a_terminal_cannot_be_debugged(option: tuple[str, ...]) -> None:
    """A supervised process has no terminal, so these options are refused together."""
    done = run_program("worker", "--debug", *option)
    assert (done.returncode, "`--debug` has one process" in done.stderr) == (2, True)


async def test_a_handler_stops_at_a_breakpoint_and_goes_on(
    broker: Broker, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    """The prompt of the debugger is on the terminal of the worker, and what is changed there counts."""
    (tmp_path / "shop.py").write_text(SHOP)
    queue = Queue(DEFAULT_TENANT, JobType("shop.stop"))
    job = new_job(queue)
    await broker.store.enqueue(queue, [job])
    environ = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    with on_terminal("worker", "shop:app", "--debug", cwd=tmp_path, **environ) as worker:
        assert "(Pdb)" in await anyio.to_thread.run_sync(worker.read_until, "(Pdb)")
        worker.type("answer = 1\nc\n")

        async def has_ended() -> bool:
            return (await job_of(broker, queue, job.id)).state is JobState.SUCCEEDED

        await wait_until(has_ended, "the job has succeeded")
        worker.process.terminate()
        assert (await anyio.to_thread.run_sync(worker.read_to_the_end)).code == 0
