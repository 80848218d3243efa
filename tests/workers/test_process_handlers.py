"""Handlers in processes of their own report what they do, and end when they must."""

import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from leftovers import delete_namespace
from waiting import wait_until
from workers.floor import Floor, open_floor
from workers.plant import notes, python_path, runs
from workers.shop import app

from millstream_contracts import JobState
from millstream_streams import open_broker
from millstream_workers.app_loader import load_app
from millstream_workers.isolation.process_pool import ProcessPool

REFS = ("workers.shop:app",)


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """Let handler processes import the app."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", python_path())
        yield


@pytest.fixture(scope="module")
async def shared_floor(redis_url: str, importable: None) -> AsyncIterator[Floor]:
    """Yield a floor with one worker for many tests, because each handler process takes long to start."""
    async with open_broker(redis_url, namespace=f"t{secrets.token_hex(6)}") as broker:
        async with open_floor(broker, redis_url) as floor:
            await floor.hire(app, apps=REFS, concurrency=2)
            yield floor
        await delete_namespace(broker.client, broker.keys.namespace)


async def test_a_process_runs_one_job_after_another(floor: Floor) -> None:
    """A handler process runs one job after another, because loading an app takes long."""
    await floor.hire(app, apps=REFS, concurrency=1)
    first, second = await floor.run("process.pid"), await floor.run("process.pid")
    assert first.state is JobState.SUCCEEDED
    assert first.result == second.result != os.getpid()


async def test_a_process_has_the_lifespan_and_the_context_of_its_job(floor: Floor) -> None:
    """A handler process opens the lifespan of its app, and gives sync and async handlers the context of their job."""
    await floor.hire(app, apps=REFS)
    job = await floor.run("process.state", tags={"a": "b"})
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result["pid"] == job.result["here"] != os.getpid()
    assert job.result | {"pid": 0, "here": 0} == {
        "app": "shop",
        "pid": 0,
        "here": 0,
        "attempt": 1,
        "fence": 1,
        "tags": {"a": "b"},
    }


async def test_an_idle_process_closes_what_its_app_opened(
    floor: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle handler process closes the lifespan of its app when its worker stops."""
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    await floor.hire(app, apps=REFS)
    pid = (await floor.run("process.pid")).result
    await floor.run("process.state")
    await floor.close()
    await wait_until((tmp_path / f"closed-{pid}").exists, "the lifespan is closed")
    await wait_until(lambda: not runs(pid), "the process is gone")


async def test_a_breakpoint_is_passed_over_where_there_is_no_terminal(floor: Floor, capfd) -> None:
    """A debugger would read the end of an empty input and fail the job, so the log says where the breakpoint is."""
    await floor.hire(app, apps=REFS, concurrency=1)
    job = await floor.run("process.breakpoint")
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1), job.error
    said = capfd.readouterr().err
    assert "breakpoint passed over" in said
    assert "shop.py:" in said


@pytest.mark.parametrize("kind", ["process.print", "process.stdin"])
async def test_what_a_handler_prints_or_reads_is_not_the_workers_business(floor: Floor, kind: str) -> None:
    """What a handler or its programs print or read does not touch the channel between worker and process."""
    await floor.hire(app, apps=REFS, concurrency=1)
    for number in range(3):
        job = await floor.run(kind, {"n": number})
        assert job.state is JobState.SUCCEEDED, job.error
        assert job.result == (number if kind == "process.print" else 0)


@pytest.mark.parametrize(
    ("what", "state", "reason", "attempts", "deliveries"),
    [
        ("raise", "succeeded", None, 2, 2),
        ("retry", "succeeded", None, 2, 2),
        ("snooze", "succeeded", None, 1, 2),
        ("discard", "cancelled", "discarded: not wanted", 0, 1),
        ("dead", "dead", "no such account", 1, 1),
        ("own dead", "dead", "closed", 1, 1),
        ("odd dead", "dead", "an object", 1, 1),
        ("exit", "succeeded", None, 2, 2),
        ("segfault", "succeeded", None, 2, 2),
        ("os exit", "succeeded", None, 2, 2),
        ("object", "dead", "invalid_result", 1, 1),
        ("huge int", "dead", "invalid_result", 1, 1),
        ("surrogate", "dead", "invalid_result", 1, 1),
        ("too large", "dead", "invalid_result", 1, 1),
    ],
)
async def test_the_end_of_a_handler_means_the_same_as_on_the_loop(
    shared_floor: Floor, tmp_path: Path, what: str, state: str, reason: str | None, attempts: int, deliveries: int
) -> None:
    """The end of a handler process means what it means on the loop, and its death is a failed attempt."""
    job = await shared_floor.run("process.steer", {"folder": str(tmp_path), "what": what}, backoff=None)
    assert (job.state, job.reason, job.attempts, job.deliveries) == (state, reason, attempts, deliveries)
    if what == "raise":
        assert job.error is not None
        assert (job.error.type, job.error.message, job.error.attempt) == ("ValueError", "nine", 1)
        assert "process_steer" in job.error.traceback
    if what == "segfault":
        assert job.error is not None
        assert "SIGSEGV" in job.error.message


async def test_a_timeout_really_ends_the_process(floor: Floor, tmp_path: Path) -> None:
    """A timeout ends a process that computes without a pause, and the next job gets another process."""
    await floor.hire(app, apps=REFS, concurrency=1)
    job = await floor.run("process.spin", {"folder": str(tmp_path)})
    assert (job.state, job.reason, job.attempts) == (JobState.DEAD, "attempts", 1)
    assert job.error is not None
    assert job.error.type == "timeout"
    (note,) = notes(tmp_path)
    assert not runs(note["pid"])
    assert (await floor.run("process.pid")).state is JobState.SUCCEEDED


async def test_a_cancelled_job_ends_its_process_and_no_other(floor: Floor, tmp_path: Path) -> None:
    """A cancelled job ends its own process, and the job in another process goes on."""
    await floor.hire(app, apps=REFS)
    folder = {"folder": str(tmp_path)}
    ids = [await floor.submit("process.gate", folder), await floor.submit("process.gate", folder)]
    await wait_until(lambda: len(notes(tmp_path)) == 2, "both run")
    await floor.cancel(ids[0])
    cancelled = await floor.settled(ids[0])
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "cancelled")
    pids = {note["job"]: note["pid"] for note in notes(tmp_path)}
    assert not runs(pids[ids[0]])
    (tmp_path / "go").touch()
    assert (await floor.settled(ids[1])).result == pids[ids[1]]


async def test_progress_is_seen_while_the_process_runs(floor: Floor, tmp_path: Path) -> None:
    """Progress of a handler process is visible after the next renewal of its worker."""
    await floor.hire(app, apps=REFS, renew_every_s=0.1)
    job_id = await floor.submit("process.gate", {"folder": str(tmp_path)})

    async def is_seen() -> bool:
        progress = (await floor.job(job_id)).progress
        return progress is not None and (progress.percent, progress.note) == (40.0, "nearly half")

    await wait_until(is_seen, "the progress is in Redis")
    assert (await floor.job(job_id)).state is JobState.RUNNING
    (tmp_path / "go").touch()
    assert (await floor.settled(job_id)).state is JobState.SUCCEEDED


def has_ended(pid: int) -> bool:
    """Return whether a child of ours has ended with all of its threads; it stays to be collected."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # collected already


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_process_that_died_while_idle_costs_no_attempt(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """A process that died while it was idle costs the next job no attempt, whether its end is known yet or not."""
    if not is_known:
        monkeypatch.setattr(ProcessPool, "_take_idle", lambda pool: pool._idle.pop() if pool._idle else None)
    await floor.hire(app, apps=REFS, concurrency=1)
    pid = (await floor.run("process.pid")).result
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: has_ended(pid), "the idle process is dead")
    job = await floor.run("process.pid", max_attempts=1)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    assert job.result != pid


async def test_signals_for_the_whole_group_do_not_end_a_handler(floor: Floor, tmp_path: Path) -> None:
    """SIGINT and SIGTERM to the whole process group drain the worker and do not end its handlers."""
    await floor.hire(app, apps=REFS)
    job_id = await floor.submit("process.gate", {"folder": str(tmp_path)}, max_attempts=1)
    await wait_until(lambda: notes(tmp_path), "it runs")
    pid = notes(tmp_path)[0]["pid"]
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    (tmp_path / "go").touch()
    job = await floor.settled(job_id)
    assert (job.state, job.result, job.deliveries) == (JobState.SUCCEEDED, pid, 1)


async def test_the_current_folder_does_not_hide_our_imports(
    floor: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's `queue.py` beside the app hides none of our imports in a handler process."""
    monkeypatch.chdir(tmp_path)
    for name in ("queue", "redis", "structlog", "contracts"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a module of the user')\n")
    (tmp_path / "local_app.py").write_text(
        "from millstream import App\n"
        "app = App('local')\n"
        "@app.job('local.one', isolation='process')\n"
        "def one() -> int: return 1\n"
    )
    monkeypatch.setattr(sys, "path", sys.path[:])
    await floor.hire(load_app("local_app:app"), apps=("local_app:app",))
    monkeypatch.delitem(sys.modules, "local_app")
    job = await floor.run("local.one", max_attempts=1)
    assert job.state is JobState.SUCCEEDED, job.error
