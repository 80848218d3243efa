"""Cancelling over HTTP reaches the handler that runs."""

import os
from pathlib import Path

import pytest
from system.running import notes, started
from waiting import wait_until

from millstream import ConflictError, JobFailedError
from millstream_contracts import JobState


@pytest.mark.parametrize("kind", ["chore.gate", "chore.thread"])
async def test_cancel_stops_the_handler_that_runs(client, folder, kind):
    """A coroutine is cancelled, a thread is told, and the job ends as cancelled and not as failed."""
    job = await client.submit(kind, {"folder": str(folder)})
    await started(folder)
    await job.cancel()
    await wait_until(lambda: notes(folder, "stopped"), "the handler stops", 60)
    ended = await client.wait(job.id, 60)
    assert (ended.state, ended.attempts, ended.result) == (JobState.CANCELLED, 0, None)
    with pytest.raises(JobFailedError, match="cancelled"):
        await job.result(10)


async def test_cancel_ends_the_process_of_a_handler_that_runs_in_one(client, folder):
    """It cannot be asked, so it is killed."""
    job = await client.submit("chore.process", {"folder": str(folder)})
    [note] = await started(folder)
    await job.cancel()
    assert (await client.wait(job.id, 60)).state is JobState.CANCELLED
    await wait_until(lambda: not is_running(note["pid"]), "its process has ended", 60)


def is_running(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_cancelled_job_that_waits_never_runs(client, folder):
    """It ends at once, and its time passes without it."""
    job = await client.submit("chore.count", {"folder": str(folder)}, delay=0.5)
    assert (await job.cancel()).state is JobState.CANCELLED
    later = await client.submit("chore.count", {"folder": str(folder), "n": 7}, delay=0.6)
    assert await later.result(60) == 7
    assert {note["job"] for note in notes(folder)} == {later.id}


async def test_job_that_has_ended_cannot_be_cancelled(client, folder):
    """What happened has happened: 409."""
    job = await client.submit("chore.count", {"folder": str(folder)})
    await job.result(60)
    with pytest.raises(ConflictError):
        await job.cancel()
