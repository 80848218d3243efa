"""A cancellation over HTTP reaches the running handler."""

import os
from pathlib import Path

import pytest
from system.running import notes, started
from waiting import wait_until

from millstream import ConflictError, JobFailedError
from millstream_contracts import JobState


@pytest.mark.parametrize("kind", ["chore.gate", "chore.thread"])
async def test_cancel_stops_the_handler_that_runs(client, folder, kind):
    """A cancellation stops a running coroutine or thread, and its job ends as cancelled."""
    job = await client.submit(kind, {"folder": str(folder)})
    await started(folder)
    await job.cancel()
    await wait_until(lambda: notes(folder, "stopped"), "the handler stops", 60)
    ended = await client.wait(job.id, 60)
    assert (ended.state, ended.attempts, ended.result) == (JobState.CANCELLED, 0, None)
    with pytest.raises(JobFailedError, match="cancelled"):
        await job.result(10)


async def test_cancel_ends_the_process_of_a_handler_that_runs_in_one(client, folder):
    """A cancellation kills the process of a handler that runs in one."""
    job = await client.submit("chore.process", {"folder": str(folder)})
    [note] = await started(folder)
    await job.cancel()
    assert (await client.wait(job.id, 60)).state is JobState.CANCELLED
    await wait_until(lambda: not is_running(note["pid"]), "its process has ended", 60)


def is_running(pid: int) -> bool:
    """Return whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_cancelled_job_that_waits_never_runs(client, folder):
    """A scheduled job that is cancelled ends at once and never runs."""
    job = await client.submit("chore.count", {"folder": str(folder)}, delay=0.5)
    assert (await job.cancel()).state is JobState.CANCELLED
    later = await client.submit("chore.count", {"folder": str(folder), "n": 7}, delay=0.6)
    assert await later.result(60) == 7
    assert {note["job"] for note in notes(folder)} == {later.id}


async def test_job_that_has_ended_cannot_be_cancelled(client, folder):
    """A cancellation of an ended job is answered with 409."""
    job = await client.submit("chore.count", {"folder": str(folder)})
    await job.result(60)
    with pytest.raises(ConflictError):
        await job.cancel()
