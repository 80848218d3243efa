"""A failed attempt says where: its error and its log line have the frames of users' code, and no others."""

import json
import time
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs
from waiting import wait_until
from workers.floor import Floor
from workers.plant import python_path
from workers.whereabouts_app import app as processes

from millstream import App, Retry
from millstream_contracts import Job

SECRET = "canary-4711"
OURS = ("millstream_workers", "asyncio/", "threading.py", "anyio/_backends")


async def fail_inside(text: str) -> None:
    """Raise an error that quotes its argument."""
    raise LookupError(f"no {text}")


async def hang_inside() -> None:
    """Wait until the test has ended."""
    await anyio.Event().wait()


async def run_one(floor: Floor, app: App, **settings: Any) -> tuple[Job, dict[str, Any]]:
    """Run a job of the type `one`; return it with the log line of its attempt."""
    with capture_logs() as lines:
        await floor.hire(app, **settings)
        job = await floor.run("one", SECRET)
        await wait_until(lambda: any(line["event"] == "attempt finished" for line in lines), "it is logged")
    return job, next(line for line in lines if line["event"] == "attempt finished")


@pytest.mark.parametrize("messages", [False, True])
async def test_a_failed_attempt_tells_where_and_its_log_line_quotes_only_when_told(
    floor: Floor, messages: bool
) -> None:
    """The error has message and frames of users' code; the log line has the frames, and the message where it may."""
    app = App("test")

    @app.job("one", retry=Retry(max_attempts=1))
    async def one(text: str) -> None:
        await fail_inside(text)

    job, line = await run_one(floor, app, log_error_messages=messages)
    assert job.error is not None
    assert job.error.traceback.endswith(f"LookupError: no {SECRET}\n")
    for told in (job.error.traceback, line["exception"]):
        assert "in one\n" in told
        assert "in fail_inside\n" in told
        assert not [ours for ours in OURS if ours in told]
    assert line.get("error") == (f"no {SECRET}" if messages else None)
    assert (SECRET in json.dumps(line)) == messages


async def test_a_coroutine_that_timed_out_tells_where_it_waited(floor: Floor) -> None:
    """A timed-out coroutine tells where it waited, down to the innermost await, in its error and its log line."""
    app = App("test")

    @app.job("one", retry=Retry(max_attempts=1), timeout=0.1)
    async def one(_: str) -> None:
        await hang_inside()

    job, line = await run_one(floor, app)
    assert job.error is not None
    assert job.error.traceback.endswith("timeout: the attempt took longer than 0.1 s\n")
    for told in (job.error.traceback, line["exception"]):
        assert told.index("in one\n") < told.index("in hang_inside\n")
        assert "millstream_workers" not in told


async def test_a_function_in_a_thread_that_timed_out_tells_what_it_did(floor: Floor) -> None:
    """A timed-out function in a thread tells what its thread did at that moment."""
    app, gate = App("test"), []

    @app.job("one", retry=Retry(max_attempts=1), timeout=0.1)
    def one(_: str) -> None:
        while not gate:
            time.sleep(0.001)

    try:
        job, line = await run_one(floor, app, cleanup_s=0.0)
    finally:
        gate.append(True)
    assert job.error is not None
    for told in (job.error.traceback, line["exception"]):
        assert "in one\n" in told
        assert not [ours for ours in OURS if ours in told]


@pytest.mark.parametrize(("kind", "function"), [("whereabouts.plain", "sleep_on"), ("whereabouts.async", "wait_on")])
async def test_a_handler_in_a_process_that_timed_out_tells_where_it_was(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, kind: str, function: str
) -> None:
    """A timed-out handler in a process tells where it was, whether it is a plain function or a coroutine."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(processes, apps=("workers.whereabouts_app:app",), cleanup_s=1.0)
    job = await floor.run(kind, SECRET)
    assert job.error is not None
    assert job.error.type == "timeout"
    assert f"in {function}\n" in job.error.traceback
    assert "millstream_workers" not in job.error.traceback
    assert SECRET not in job.error.traceback


async def test_a_process_that_a_signal_ends_tells_where(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler process that a signal ends leaves its stack in the error of the attempt, without our frames."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(processes, apps=("workers.whereabouts_app:app",))
    job = await floor.run("whereabouts.crash", SECRET)
    assert job.error is not None
    assert "SIGSEGV" in job.error.message
    told = job.error.traceback
    assert told.index("in crash\n") < told.index("in read_nothing\n") < told.index("SIGSEGV")
    assert "millstream_workers/" not in told
