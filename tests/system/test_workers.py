"""Workers that are killed, and workers that are told to go: what becomes of their jobs."""

import os
import signal
from collections import Counter
from pathlib import Path

from system.running import REAPER_IN_A_HURRY, notes, python_process, settled, started
from waiting import wait_until

from millstream_contracts import JobState

KINDS = ("chore.gate", "chore.thread", "chore.process")


async def occupy_both_workers(client, folder: Path) -> dict[int, set[str]]:
    """Submit jobs that wait for the word, until two workers run some. Returns: ids by process."""
    ids: list[str] = []
    while len({note["pid"] for note in notes(folder, "started")}) < 2:
        assert len(ids) < 100, "one worker takes everything"
        ids.append((await client.submit("chore.gate", {"folder": str(folder)})).id)
        await started(folder, len(ids))
    taken: dict[int, set[str]] = {}
    for note in notes(folder, "started"):
        taken.setdefault(note["pid"], set()).add(note["job"])
    return taken


async def test_jobs_of_a_killed_worker_run_again_and_all_that_was_accepted_ends(system, client, folder):
    """Effects at least once; the crash is counted to the jobs that were in it, and costs no attempt."""
    taken = await occupy_both_workers(client, folder)
    victim = next(iter(taken))
    before = await client.submit_many("chore.count", [{"folder": str(folder), "n": n} for n in range(40)])
    os.kill(victim, signal.SIGKILL)
    after = await client.submit_many("chore.count", [{"folder": str(folder), "n": n} for n in range(40)])
    (folder / "go").touch()
    accepted = [*before.items, *after.items]
    counted = await settled(client, [item.id for item in accepted])
    gated = await settled(client, [job_id for ids in taken.values() for job_id in ids])
    assert Counter(job.state for job in (*counted, *gated)) == {JobState.SUCCEEDED: len(counted) + len(gated)}
    assert {note["job"] for note in notes(folder, "done")} == {job.id for job in (*counted, *gated)}
    assert {job.id for job in gated if job.crashes} == taken[victim]
    assert {(job.attempts, job.crashes, job.deliveries) for job in gated if job.id in taken[victim]} == {(1, 1, 2)}
    assert all(job.attempts == 1 for job in (*counted, *gated))
    # Whoever ran a job first, what counts is what the last delivery returned.
    assert [job.result for job in counted] == [*range(40), *range(40)]
    await wait_until(lambda: new_worker(system, victim), "its successor is there", 60)


async def new_worker(system, victim: int) -> bool:
    """Whether two workers are listed beside the one that was killed."""
    return len(await system.worker_pids() - {victim}) == 2


async def test_killed_worker_leaves_the_list_of_workers(system, client, folder):
    """Nobody says goodbye for it: the reaper does, once it has been silent for long enough."""
    [note] = await started_gate(client, folder)
    victim = note["pid"]
    assert victim in await system.worker_pids()
    os.kill(victim, signal.SIGKILL)
    (folder / "go").touch()
    # One more replica of the reaper, which waits for seconds where the others wait for a minute.
    with python_process(REAPER_IN_A_HURRY, folder, MILLSTREAM_REDIS_URL=system.redis_url):
        await wait_until(lambda: is_gone(system, victim), "the worker is off the list", 60)
    await client.result(note["job"], 60)


async def started_gate(client, folder: Path) -> list[dict]:
    """Submit a job that waits for the word; return its first note."""
    await client.submit("chore.gate", {"folder": str(folder)})
    return await started(folder)


async def is_gone(system, pid: int) -> bool:
    """Whether no worker with this process is listed."""
    return pid not in await system.worker_pids()


async def test_worker_told_to_stop_hands_its_jobs_back_and_burns_no_attempt(system, client, folder):
    """Whatever the handlers run in, another worker has the jobs at once and counts them as first attempts."""
    await wait_until(lambda: system.wait_all_ready(), "all are ready")
    taken = await occupy_both_workers(client, folder)
    victim = next(iter(taken))
    os.kill(victim, signal.SIGTERM)
    await started(folder, sum(map(len, taken.values())) + len(taken[victim]))
    assert victim not in await system.worker_pids()
    again = {note["job"]: note for note in notes(folder, "started") if note["fence"] == 2}
    assert again.keys() == taken[victim]
    assert all(note["pid"] != victim and note["attempt"] == 1 for note in again.values())
    assert {note["job"] for note in notes(folder, "stopped")} == taken[victim]
    (folder / "go").touch()
    jobs = await settled(client, [job_id for ids in taken.values() for job_id in ids])
    counts = {job.id: (job.state, job.attempts, job.crashes, job.handbacks, job.deliveries) for job in jobs}
    kept = dict.fromkeys(set().union(*taken.values()) - taken[victim], (JobState.SUCCEEDED, 1, 0, 0, 1))
    assert counts == kept | dict.fromkeys(taken[victim], (JobState.SUCCEEDED, 1, 0, 1, 2))


async def test_handlers_of_all_kinds_are_handed_back(system, tmp_path):
    """Threads and processes as well: all workers go, and their successors run each job to its end."""
    async with system.client() as client:
        ids, folders = [], []
        for kind in KINDS:
            folders.append(tmp_path / kind)
            folders[-1].mkdir()
            ids.append((await client.submit(kind, {"folder": str(folders[-1])})).id)
            await started(folders[-1])
        for pid in await system.worker_pids():
            os.kill(pid, signal.SIGTERM)
        for folder in folders:
            await started(folder, 2)
            (folder / "go").touch()
        jobs = await settled(client, ids)
    # Redelivered more than once, if the first to get it was on its way out as well.
    assert [(job.state, job.attempts, job.crashes) for job in jobs] == [(JobState.SUCCEEDED, 1, 0)] * len(KINDS)
    assert all(job.handbacks == job.deliveries - 1 >= 1 for job in jobs)
