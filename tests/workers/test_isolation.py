"""What a handler does to the process of its own stays there, and ends with it."""

import os
import resource
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from leftovers import delete_namespace
from opentelemetry.sdk.trace import TracerProvider
from waiting import wait_until
from workers.floor import Floor, open_floor
from workers.intruders import CHANGES, ENDINGS, RAISES, SCRIPTS, SPAWNING, app, fragile
from workers.plant import Plant, notes, python_path, runs
from written import whole_lines

from millstream import App
from millstream_contracts import JobState
from millstream_streams import open_broker
from millstream_telemetry import JobTracer

REFS = ("workers.intruders:app",)
HANDED_BACK = JobState.QUEUED


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let handler processes import the app."""
    monkeypatch.setenv("PYTHONPATH", python_path())


@pytest.fixture
def own_surroundings() -> Iterator[None]:
    """Restore what handlers change in this process, which is their worker."""
    folder, environment, umask = Path.cwd(), dict(os.environ), os.umask(0o022)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGCHLD)}
    os.umask(umask)
    yield
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.umask(umask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
async def lasting(redis_url: str) -> AsyncIterator[Floor]:
    """Yield a floor with one worker and one handler process, for the jobs of many tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", python_path())
        async with open_broker(redis_url, namespace=f"t{secrets.token_hex(6)}") as broker:
            async with open_floor(broker, redis_url) as floor:
                await floor.hire(app, apps=REFS, concurrency=1)
                yield floor
            await delete_namespace(broker.client, broker.keys.namespace)


def spawned(folder: Path) -> list[int]:
    """Return the processes that handlers have started."""
    return [int(line) for line in whole_lines(folder / "spawned")]


async def begun(folder: Path, count: int = 1) -> list[dict[str, Any]]:
    """Return the notes of `count` handlers once they have begun."""
    await wait_until(lambda: len(notes(folder, "started")) >= count, "the handlers have begun")
    return notes(folder, "started")


async def all_gone(folder: Path, *pids: int) -> None:
    """Wait until the handler processes, and all that they started, have ended."""
    left = [*spawned(folder), *pids, *(note["pid"] for note in notes(folder, "started"))]
    await wait_until(lambda: not any(runs(pid) for pid in left), f"{left} have ended")


# What a handler started


@pytest.mark.parametrize("what", sorted(SPAWNING))
@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_what_a_stopped_handler_started_ends_before_its_outcome_is_known(
    floor: Floor, tmp_path: Path, what: str, how: str
) -> None:
    """Every process that a stopped handler started, daemons included, ends before the outcome of its job is stored."""
    await floor.hire(app, apps=REFS, cleanup_s=0.5)
    payload = {"folder": str(tmp_path), "what": what}
    job_id = await floor.submit("spawn", payload, **({"timeout_s": 2.0} if how == "timeout" else {}))
    await wait_until(lambda: spawned(tmp_path), "something was started")
    if how == "cancel":
        await floor.cancel(job_id)
    job = await floor.settled(job_id)
    assert job.state is (JobState.DEAD if how == "timeout" else JobState.CANCELLED), job.error
    (note,) = notes(tmp_path, "started")
    assert [pid for pid in [note["pid"], *spawned(tmp_path)] if runs(pid)] == []


@pytest.mark.parametrize("ending", sorted(ENDINGS))
async def test_what_a_handler_left_behind_ends_with_it(floor: Floor, tmp_path: Path, ending: str) -> None:
    """What a handler left behind ends with it, whether it returned, raised or died, and the worker waits for none."""
    await floor.hire(app, apps=REFS)
    job = await floor.run("spawn.end", {"folder": str(tmp_path), "what": ending})
    assert job.state is (JobState.SUCCEEDED if ending == "return" else JobState.DEAD)
    assert len(spawned(tmp_path)) == 2
    if ending == "kill the guard":  # a daemon gets away then, and nothing else
        os.kill(spawned(tmp_path)[0], signal.SIGKILL)
    await all_gone(tmp_path)


@pytest.mark.parametrize("what", ["daemon", "left and slept", "deaf"])
async def test_a_killed_worker_takes_along_what_its_handlers_started(plant: Plant, tmp_path: Path, what: str) -> None:
    """A worker that is killed by SIGKILL takes along what its handlers started."""
    machine = await plant.start(app_ref="workers.intruders:app")
    await plant.floor.submit("spawn", {**plant.payload, "what": what})
    await wait_until(lambda: spawned(tmp_path), "something was started")
    machine.send(signal.SIGKILL)
    await all_gone(tmp_path)


async def test_a_worker_that_leaves_takes_along_what_its_handlers_started(plant: Plant, tmp_path: Path) -> None:
    """A worker that leaves hands its job back and ends what the handler of that job started."""
    machine = await plant.start(app_ref="workers.intruders:app", grace_s=0.1)
    job_id = await plant.floor.submit("spawn", {**plant.payload, "what": "daemon"})
    await wait_until(lambda: spawned(tmp_path), "something was started")
    machine.send(signal.SIGTERM)
    assert await machine.ended() == 0
    job = await plant.floor.job(job_id)
    assert (job.state, job.attempts, job.crashes, job.handbacks) == (JobState.QUEUED, 0, 0, 1)
    await all_gone(tmp_path)


# How a handler is stopped


@pytest.mark.parametrize("wait", ["sleep", "spin", "lock", "program", "socket", "loop", "log"])
async def test_a_plain_function_is_interrupted_and_cleans_up(floor: Floor, tmp_path: Path, wait: str) -> None:
    """A plain function is interrupted wherever it waits, and its `finally` knows why and runs to its end."""
    await floor.hire(app, apps=REFS)
    job_id = await floor.submit("clean", {"folder": str(tmp_path), "what": wait})
    await begun(tmp_path)
    await floor.cancel(job_id)
    assert (await floor.settled(job_id)).state is JobState.CANCELLED
    assert [note["event"] for note in notes(tmp_path)] == ["started", "cleaning", "cleaned"]
    assert notes(tmp_path, "cleaning")[0]["cancelled"]
    await all_gone(tmp_path)


async def test_a_coroutine_is_cancelled_once_and_cleans_up(floor: Floor, tmp_path: Path) -> None:
    """A coroutine is cancelled once, and what it awaits in its clean-up is not cancelled again."""
    await floor.hire(app, apps=REFS)
    job_id = await floor.submit("clean.async", {"folder": str(tmp_path)})
    await begun(tmp_path)
    await floor.cancel(job_id)
    assert (await floor.settled(job_id)).state is JobState.CANCELLED
    assert [note["event"] for note in notes(tmp_path)] == ["started", "cleaning", "cleaned"]
    assert notes(tmp_path, "cleaning")[0]["cancelled"]


@pytest.mark.parametrize("kind", ["clean", "clean.async"])
async def test_a_handler_that_takes_too_long_to_clean_up_is_ended(floor: Floor, tmp_path: Path, kind: str) -> None:
    """A handler that exceeds its time for clean-up is killed."""
    await floor.hire(app, apps=REFS, cleanup_s=0.5)
    job_id = await floor.submit(kind, {"folder": str(tmp_path), "what": "sleep lingering"})
    await begun(tmp_path)
    await floor.cancel(job_id)
    assert (await floor.settled(job_id)).state is JobState.CANCELLED
    assert notes(tmp_path, "cleaned")
    await all_gone(tmp_path)


async def test_a_stop_hits_neither_the_next_job_nor_a_neighbour(floor: Floor, tmp_path: Path) -> None:
    """A stop ends one handler's process, which is not used again, and hits no other job."""
    await floor.hire(app, apps=REFS, concurrency=2)
    other = tmp_path / "other"
    other.mkdir()
    neighbour = await floor.submit("clean", {"folder": str(other), "what": "sleep"})
    await begun(other)
    for number in range(3):
        job_id = await floor.submit("clean", {"folder": str(tmp_path), "what": "sleep"})
        await begun(tmp_path, number + 1)
        await floor.cancel(job_id)
        assert (await floor.settled(job_id)).state is JobState.CANCELLED
        assert (await floor.run("where")).state is JobState.SUCCEEDED
    assert len({note["pid"] for note in notes(tmp_path, "started")}) == 3
    assert not notes(other, "cleaning")
    await floor.cancel(neighbour)
    await floor.settled(neighbour)


# What a plain function finds


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("what", sorted(SCRIPTS))
async def test_a_plain_function_is_called_as_a_script_is(lasting: Floor, what: str, again: int) -> None:
    """A plain function runs in the main thread and outside of any loop, also after another one in its process."""
    job = await lasting.run("script", {"what": what})
    assert (job.state, job.result) == (JobState.SUCCEEDED, 42), job.error


async def test_coroutines_run_on_the_loop_of_their_lifespan(lasting: Floor) -> None:
    """Coroutines run on the loop of their lifespan, also after plain functions of the process ran loops."""
    await lasting.run("script", {"what": "asyncio.run"})
    await lasting.run("script", {"what": "get_event_loop"})
    job = await lasting.run("bound")
    assert job.result == [True, True, True], job.error


@pytest.mark.parametrize("kind", ["taint", "taint.async"])
async def test_a_job_begins_in_a_clean_context(lasting: Floor, kind: str) -> None:
    """A job does not see the context variables that an earlier job set in the same process."""
    pid = (await lasting.run(kind)).result
    state = (await lasting.run("where")).result
    assert (state["pid"], state["who"], state["precision"], state["bound"]) == (pid, "no tenant", 28, None)


# What a handler changes


@pytest.mark.parametrize("what", [*sorted(CHANGES), "async folder"])
async def test_a_process_that_a_job_has_changed_is_not_used_again(lasting: Floor, what: str) -> None:
    """A process whose state a job has changed is not used again, so that the next job finds it as it was."""
    before = (await lasting.run("where")).result
    kind, what = ("change.async", "folder") if what == "async folder" else ("change", what)
    changed = await lasting.run(kind, {"what": what})
    assert (changed.state, changed.result) == (JobState.SUCCEEDED, before["pid"]), changed.error
    after = (await lasting.run("where")).result
    assert after["pid"] != before["pid"]
    assert after | {"pid": 0} == before | {"pid": 0}
    await wait_until(lambda: not runs(before["pid"]), "the process is gone")


async def test_a_process_with_a_task_left_is_not_used_again(lasting: Floor) -> None:
    """A process in which a job left a task is not used again, because the task would run beside the next job."""
    pid = (await lasting.run("change.async", {"what": "tasks"})).result
    assert (await lasting.run("where")).result["pid"] != pid


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("worker.change.thread", "folder"),
        *(
            ("worker.change", what)
            for what in ("folder", "no environment", "umask", "zone", "handlers", "mask", "limits")
        ),
    ],
)
async def test_what_a_handler_changes_of_its_worker_is_not_what_later_processes_start_with(
    floor: Floor, kind: str, what: str, own_surroundings: None
) -> None:
    """Handler processes start with the state that the worker had at its start, whatever handlers changed since."""
    await floor.hire(app, apps=REFS, concurrency=1)
    before = (await floor.run("where")).result
    os.kill(before["pid"], signal.SIGKILL)
    await wait_until(lambda: not runs(before["pid"]), "the idle process is gone")
    await floor.run(kind, {"what": what})
    after = await floor.run("where")
    assert after.state is JobState.SUCCEEDED, after.error
    assert after.result | {"pid": 0} == before | {"pid": 0}


# What a handler raises, returns and does at its end

FATES: dict[str, tuple[str, str, str]] = {
    "SystemExit": ("dead", "SystemExit", ""),
    "SystemExit text": ("dead", "SystemExit", "a text"),
    "SystemExit 0": ("dead", "SystemExit", "0"),
    "KeyboardInterrupt": ("dead", "KeyboardInterrupt", ""),
    "GeneratorExit": ("dead", "GeneratorExit", ""),
    "CancelledError": ("dead", "asyncio.exceptions.CancelledError", "of its own"),
    "Own": ("dead", "workers.intruders.Own", "no Exception"),
    "Panic": ("dead", "hostile_values.Panic", ""),
    "group": ("dead", "ExceptionGroup", "several (2 sub-exceptions)"),
    "base group": ("dead", "BaseExceptionGroup", "several (2 sub-exceptions)"),
    "chain": ("dead", "ValueError", "effect"),
    "circle": ("dead", "ValueError", "first"),
    "recursion": ("dead", "RecursionError", "maximum recursion depth exceeded"),
    "exit 3": ("dead", "millstream_workers.errors.ProcessDiedError", "exited with status 3"),
    "abort": ("dead", "millstream_workers.errors.ProcessDiedError", "SIGABRT"),
    "killed": ("dead", "millstream_workers.errors.ProcessDiedError", "SIGKILL"),
    "real time": ("dead", "millstream_workers.errors.ProcessDiedError", "signal "),
    "exec": ("dead", "millstream_workers.errors.ProcessDiedError", "exited with status 4"),
    "closed channel": ("dead", "millstream_workers.errors.ProcessDiedError", "status 1"),
    "replaced channel": ("dead", "millstream_workers.errors.ProcessDiedError", "status 1"),
    "fork": ("succeeded", "", ""),
    "fork raising": ("succeeded", "", ""),
    "raw output": ("succeeded", "", ""),
}


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        *(("raise", what) for what in sorted(FATES)),
        *(("raise.async", what) for what in ("SystemExit", "CancelledError", "Own", "exit 3", "fork", "group")),
    ],
)
async def test_whatever_a_handler_raises_arrives_as_such(lasting: Floor, kind: str, what: str) -> None:
    """Whatever a handler raises arrives as the outcome of its attempt; the worker goes on and the next job runs."""
    job = await lasting.run(kind, {"what": what})
    state, error_type, message = FATES[what]
    assert job.state == state, job.error
    if error_type:
        assert job.error is not None
        assert job.error.type == error_type
        assert message in job.error.message
    if what == "chain":
        assert "KeyError: 'cause'" in job.error.traceback
        assert "a note" in job.error.traceback
    assert (await lasting.run("where")).state is JobState.SUCCEEDED


@pytest.mark.parametrize(("what", "said"), [("retry", "retry after 7 s"), ("odd retry", "retry after 1.5 s")])
async def test_a_request_arrives_with_what_can_be_read_of_it(lasting: Floor, what: str, said: str) -> None:
    """The error of a RetryAfter from a handler process has the handler's own type, text and traceback."""
    job_id = await lasting.submit("raise", {"what": what}, max_attempts=2)
    await lasting.until(job_id, JobState.SCHEDULED)
    job = await lasting.job(job_id)
    assert job.error is not None
    assert f"{job.error.type}: {job.error.message}" == f"millstream.RetryAfter: {said}"
    assert "in _raise" in job.error.traceback


@pytest.mark.parametrize("what", ["task exit", "task own"])
async def test_a_task_that_a_coroutine_left_ends_neither_process_nor_worker_unsaid(floor: Floor, what: str) -> None:
    """A SystemExit from a task that a coroutine left is the outcome of the attempt, and not an exit status."""
    await floor.hire(app, apps=REFS)
    job = await floor.run("raise.async", {"what": what}, timeout_s=2.0)
    assert job.state is JobState.DEAD
    assert job.error is not None
    assert job.error.type == {"task exit": "SystemExit", "task own": "timeout"}[what]


async def test_a_result_that_cannot_be_looked_at_is_an_invalid_one(lasting: Floor) -> None:
    """A result whose class raises on inspection is an invalid result, and its job does not run again."""
    for what in ("unstorable", "an error"):
        job = await lasting.run("raise", {"what": what})
        assert (job.state, job.reason) == (JobState.DEAD, "invalid_result"), job.error


async def test_a_lifespan_that_fails_is_the_error_of_the_attempt(floor: Floor) -> None:
    """A lifespan that fails in a process is the error of the attempt, with its app, its cause and its place."""
    await floor.hire(_without_lifespan(), apps=("workers.intruders:fragile",))
    job = await floor.run("fragile", max_attempts=1)
    assert job.error is not None
    assert job.error.type == "millstream.LifespanError"
    assert "failed to open: ConnectionError: no database\n" in job.error.message
    assert "intruders.py" in job.error.message


def _without_lifespan() -> App:
    twin = App("twin")
    twin.job("fragile", isolation="process")(fragile.handlers["fragile"].function)
    return twin


async def test_a_module_that_fails_in_the_process_only_is_the_error_of_the_attempt(floor: Floor) -> None:
    """A module that fails to import in the handler process only is the error of the attempt."""
    await floor.hire(app, apps=("workers.no_such_module:app",))
    job = await floor.run("where", max_attempts=1)
    assert job.error is not None
    assert "no_such_module" in job.error.message


def test_every_ending_is_tried() -> None:
    """Every way in which a handler of the app can end is used by a test."""
    elsewhere = {"retry", "odd retry", "odd discard", "odd snooze", "odd reason", "unstorable", "an error"}
    assert set(RAISES) == set(FATES) | elsewhere


# What a handler logs


async def test_lines_of_handlers_are_alike_wherever_they_run(plant: Plant) -> None:
    """A line of a handler has the same format, level, service, job and trace on the loop, in a thread and a process.

    This holds for `ctx.log`, structlog, libraries and warnings. No other line has the fields of a job.
    """
    machine = await plant.start(app_ref="workers.intruders:app", log_level="info")
    trace = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00"}
    kinds = ("say.loop", "say.thread", "say", "say.async")
    for kind in kinds:
        assert (await plant.floor.run(kind, **trace)).state is JobState.SUCCEEDED

    def said(event: str) -> dict[str, dict[str, Any]]:
        lines = [line for line in machine.log if event in line["event"]]
        return dict(zip(kinds, lines, strict=True))

    await wait_until(lambda: len([line for line in machine.log if "warnings" in line["event"]]) == 4, "all is logged")
    for event in ("said by ctx", "said by structlog", "said by logging", "said by warnings"):
        lines = said(event)
        for line in lines.values():
            assert line["service"] == "workers"
            assert line["timestamp"].endswith("Z")
        for kind in kinds:
            assert lines[kind].keys() >= lines["say.loop"].keys()
            assert (lines[kind]["type"], lines[kind]["attempt"], "job_id" in lines[kind]) == (kind, 1, True)
            assert lines[kind]["trace_id"] == "ab" * 16
    assert not [line for line in machine.log if line["event"] == "said quietly"]
    (outside,) = [line for line in machine.log if line["event"] == "worker started"]
    assert not outside.keys() & {"job_id", "type", "attempt", "trace_id"}
    text = machine.text
    assert "4111" not in text
    assert text.count("said by print\n") == 4


async def test_lines_from_a_process_carry_the_trace_of_their_job(
    floor: Floor, capfd: pytest.CaptureFixture[str]
) -> None:
    """A handler process has the trace of its job, trace state included, beside the baggage that a lifespan attached."""
    provider = TracerProvider(shutdown_on_exit=False)
    await floor.hire(app, apps=REFS, tracer=JobTracer(provider))
    job = await floor.run("traced", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-00", tracestate="vendor=1")
    assert job.result["trace_id"] == "ab" * 16
    sampled = await floor.run("traced", traceparent=f"00-{'12' * 16}-{'cd' * 8}-01", tracestate="vendor=1")
    assert sampled.result["trace_id"] == "12" * 16
    assert sampled.result["span_id"] != "cd" * 8
    for told in (job.result, sampled.result):
        assert (told["tracestate"], told["baggage"]) == ("vendor=1", {"opened_by": "lifespan"})


async def test_the_level_of_the_worker_is_that_of_its_processes(plant: Plant) -> None:
    """Handler processes log at the level of their worker."""
    for level, heard in (("debug", True), ("error", False)):
        machine = await plant.start(app_ref="workers.intruders:app", log_level=level, types="say")
        await plant.floor.run("say")
        await wait_until(lambda machine=machine: "said by print" in machine.text, "it has run")
        assert ("said quietly" in machine.text, "said by ctx" in machine.text) == (heard, heard)
        machine.send(signal.SIGTERM)
        await machine.ended()
