"""A handler process keeps what its jobs need, closes what they opened, and passes nothing of its own on."""

import os
from pathlib import Path

import pytest
from waiting import wait_until
from workers.floor import Floor
from workers.plant import Plant, python_path, runs
from workers.upkeep_app import app
from written import whole_lines

from millstream_contracts import JobState

REFS = ("workers.upkeep_app:app",)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let handler processes import the app, and note where it writes."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.setenv("UPKEEP_FOLDER", str(tmp_path))
    monkeypatch.setenv("UPKEEP_WORKER", str(os.getpid()))


def closings(folder: Path) -> list[str]:
    """Return what was closed, in its order."""
    return whole_lines(folder / "closings")


async def test_lifespans_are_closed_the_last_one_first(
    floor: Floor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A process that leaves closes the lifespans of its apps in the reverse of their order, and logs one that fails."""
    await floor.hire(app, apps=REFS, concurrency=1)
    kinds = ("upkeep.second", "upkeep.failing", "upkeep.first")
    (pid,) = {(await floor.run(kind)).result for kind in kinds}
    await floor.close()
    await wait_until(lambda: not runs(pid), "the process is gone")
    assert closings(tmp_path) == ["first", "failing", "second"]
    told = capfd.readouterr().err
    assert "lifespan failed" in told
    assert "the database does not close" in told


async def test_what_a_lifespan_changes_is_not_charged_to_the_job_that_opened_it(floor: Floor) -> None:
    """A process is used again after a job for which a lifespan was opened, which may change what a handler may not."""
    await floor.hire(app, apps=REFS, concurrency=1)
    kinds = ("upkeep.first", "upkeep.second", "upkeep.first", "upkeep.second")
    assert len({(await floor.run(kind)).result for kind in kinds}) == 1


async def test_a_process_whose_lifespan_has_ended_is_not_used_again(floor: Floor) -> None:
    """A process in which a handler has ended the lifespan of its app is not used again, and its job succeeds."""
    await floor.hire(app, apps=REFS, concurrency=1)
    job = await floor.run("upkeep.cancel")
    assert job.state is JobState.SUCCEEDED, job.error
    assert (await floor.run("upkeep.second")).result != job.result
    await wait_until(lambda: not runs(job.result), "the process is gone")


async def test_a_process_that_was_stopped_closes_its_lifespans(floor: Floor, tmp_path: Path) -> None:
    """A handler that ended in its time for clean-up leaves a process that closes what its apps opened."""
    await floor.hire(app, apps=REFS, cleanup_s=20.0)
    job_id = await floor.submit("upkeep.hang", str(tmp_path))
    await wait_until((tmp_path / "hangs").exists, "it runs")
    await floor.cancel(job_id)
    assert (await floor.settled(job_id)).state is JobState.CANCELLED
    assert closings(tmp_path) == ["second"]


async def test_an_asynchronous_generator_that_a_handler_left_is_closed(floor: Floor, tmp_path: Path) -> None:
    """A process that leaves closes the asynchronous generators that handlers left in the middle."""
    await floor.hire(app, apps=REFS)
    pid = (await floor.run("upkeep.generator")).result
    await floor.close()
    await wait_until(lambda: not runs(pid), "the process is gone")
    assert closings(tmp_path) == ["generator"]


async def test_a_thread_of_the_executor_does_not_count_as_left(floor: Floor) -> None:
    """A process is used again after `asyncio.to_thread`, whose threads stay: they are the loop's and not the job's."""
    await floor.hire(app, apps=REFS, concurrency=1)
    first, second = (await floor.run("upkeep.thread")).result, (await floor.run("upkeep.thread")).result
    assert first == second
    assert first[0] == first[1]


async def test_a_handler_in_a_process_knows_its_deadline(floor: Floor) -> None:
    """A handler in a process can read how much of its time is left."""
    await floor.hire(app, apps=REFS)
    left_s = (await floor.run("upkeep.deadline")).result
    assert left_s is not None
    assert 0 < left_s <= 60.0


async def test_the_start_of_a_process_is_none_of_the_time_of_its_job(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout that is shorter than the start of a process does not end the job for which it was started."""
    monkeypatch.setenv("UPKEEP_SLOWLY", "1")
    await floor.hire(app, apps=REFS)
    job = await floor.run("upkeep.brief", max_attempts=1)
    assert job.state is JobState.SUCCEEDED, job.error


async def test_programs_of_a_handler_inherit_nothing_of_its_process(floor: Floor) -> None:
    """Neither the channel to the worker nor the files of crashes and lines are open in programs of a handler."""
    await floor.hire(app, apps=REFS)
    assert (await floor.run("upkeep.files")).result == []


async def test_a_module_that_sets_up_logs_does_not_change_the_lines_of_handlers(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of a handler process have the worker's format although a module of the app has configured structlog."""
    monkeypatch.setenv("UPKEEP_LOGS", "1")
    machine = await plant.start(app_ref="workers.upkeep_app:app", log_level="info")
    assert (await plant.floor.run("upkeep.say")).state is JobState.SUCCEEDED
    await wait_until(lambda: "said in a process" in machine.text, "the line is there")
    (line,) = [line for line in machine.log if line["event"] == "said in a process"]
    assert (line["service"], line["type"], line["attempt"]) == ("workers", "upkeep.say", 1)


@pytest.mark.parametrize(("kind", "signal_name", "frame"), [("crash", "SIGSEGV", "in crash"), ("fork", "SIGKILL", "")])
async def test_a_crash_is_told_by_the_stack_of_the_thread_that_crashed(
    floor: Floor, kind: str, signal_name: str, frame: str
) -> None:
    """The stack of a crash has neither what other threads did, nor where a process crashed that the handler forked."""
    await floor.hire(app, apps=REFS)
    job = await floor.run(f"upkeep.{kind}")
    assert job.error is not None
    assert signal_name in job.error.message
    assert frame in job.error.traceback
    assert "elsewhere" not in job.error.traceback
    assert "crash_in_fork" not in job.error.traceback


async def test_a_fork_of_a_handler_has_the_signal_handlers_that_it_set(floor: Floor) -> None:
    """A process that a handler forks keeps the signal handlers of the handler, and has the usual ones besides."""
    await floor.hire(app, apps=REFS)
    assert (await floor.run("upkeep.signals")).result == [True, True]
