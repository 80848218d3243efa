"""The jobs of a killed or stopping worker run on other workers."""

import os
import signal
from collections import Counter
from itertools import cycle
from pathlib import Path

from system.running import REAPER_IN_A_HURRY, notes, python_process, settled, started
from waiting import wait_until

from millstream import Client
from millstream_contracts import JobId, JobState

KINDS = ("chore.gate", "chore.thread", "chore.process")


async def occupy_workers(client: Client, folder: Path, *kinds: str) -> dict[int, set[JobId]]:
    """Submit jobs that wait for `go`, until each of two workers runs one of each kind. Returns: ids by process."""
    taken: dict[int, set[JobId]] = {}
    seen: set[tuple[int, str]] = set()
    for count, kind in enumerate(cycle(kinds), 1):
        assert count <= 100, "one worker takes everything"
        job = await client.submit(kind, {"folder": str(folder)})
        await started(folder, count)
        pid = int((await job.status()).worker.split(":")[1])
        taken.setdefault(pid, set()).add(job.id)
        seen.add((pid, kind))
        if len(seen) == 2 * len(kinds):
            break
    return taken


async def test_jobs_of_a_killed_worker_run_again_and_all_that_was_accepted_ends(system, client, folder):
    """The jobs of a killed worker run again, with a crash and no attempt charged, and every accepted job ends."""
    await system.wait_all_ready()
    taken = await occupy_workers(client, folder, "chore.gate")
    victim = next(iter(taken))
    before = await client.submit_many("chore.count", [{"folder": str(folder), "n": n} for n in range(40)])
    os.kill(victim, signal.SIGKILL)
    after = await client.submit_many("chore.count", [{"folder": str(folder), "n": n} for n in range(40)])
    (folder / "go").touch()
    counted = await settled(client, [item.id for item in (*before.items, *after.items)])
    gated = await settled(client, [job_id for ids in taken.values() for job_id in ids])
    accepted = [*counted, *gated]
    assert Counter(job.state for job in accepted) == {JobState.SUCCEEDED: len(accepted)}
    assert {note["job"] for note in notes(folder, "done")} == {job.id for job in accepted}
    assert {job.id for job in gated if job.crashes} == taken[victim]
    assert {(job.attempts, job.crashes, job.deliveries) for job in gated if job.id in taken[victim]} == {(1, 1, 2)}
    assert {job.attempts for job in accepted} == {1}
    # Whichever worker ran a job first, the result is what the last delivery returned.
    assert [job.result for job in counted] == [*range(40), *range(40)]


async def test_killed_worker_leaves_the_list_of_workers(system, client, folder):
    """The reaper takes a killed worker off the list once it has been silent for long enough."""
    await system.wait_all_ready()
    [victim, *_] = await occupy_workers(client, folder, "chore.gate")
    os.kill(victim, signal.SIGKILL)
    (folder / "go").touch()
    assert victim in await system.worker_pids()
    # One more replica of the reaper, which waits for seconds where the others wait for a minute.
    with python_process(REAPER_IN_A_HURRY, folder, MILLSTREAM_REDIS_URL=system.redis_url):
        await wait_until(lambda: has_left(system, victim), "the worker is off the list", 60)


async def has_left(system, pid: int) -> bool:
    """Return whether no worker with this process is listed."""
    return pid not in await system.worker_pids()


async def test_worker_told_to_stop_hands_its_jobs_back_and_burns_no_attempt(system, client, folder):
    """A stopping worker hands its jobs back, and another runs them at once as first attempts."""
    await system.wait_all_ready()
    taken = await occupy_workers(client, folder, *KINDS)
    victim, others = next(iter(taken)), set().union(*taken.values())
    others -= taken[victim]
    os.kill(victim, signal.SIGTERM)
    again = (await started(folder, len(others) + 2 * len(taken[victim])))[-len(taken[victim]) :]
    assert {note["job"] for note in again} == taken[victim]
    assert {(note["attempt"], note["fence"]) for note in again} == {(1, 2)}
    await wait_until(lambda: has_left(system, victim), "the worker has taken its leave", 60)
    (folder / "go").touch()
    jobs = await settled(client, [*others, *taken[victim]])
    counts = {job.id: (job.state, job.attempts, job.crashes, job.handbacks, job.deliveries) for job in jobs}
    kept = dict.fromkeys(others, (JobState.SUCCEEDED, 1, 0, 0, 1))
    assert counts == kept | dict.fromkeys(taken[victim], (JobState.SUCCEEDED, 1, 0, 1, 2))
    assert {job.result for job in jobs if job.id in taken[victim]} == {2}
    assert all(int(job.worker.split(":")[1]) != victim for job in jobs)
