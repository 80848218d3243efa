"""The scenario of SIGTERM in the middle of a thousand running jobs."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from chaos.evidence import Evidence
from chaos.fleet import Timing
from chaos.handlers import GO
from chaos.stage import Stage
from chaos.submitter import Wish
from waiting import wait_until

from millstream_contracts import EventKind

JOBS = 1_000
ALL_RUN_WITHIN_S = 60.0
ELSEWHERE_WITHIN_S = 3.0
"""The bound on a hand-back: a second is promised, and without it a lease would pass. The rest is for two cores under
load.
"""

TIMING = Timing(lease_s=15.0, grace_s=0.5, concurrency=JOBS)
"""A lease so long that a job which waits for one is noticed."""

GATE = Wish(type="chaos.gate")


async def drain(stage: Stage) -> None:
    """SIGTERM in the middle of 1,000 running jobs: none waits for a lease, no attempt is burned."""
    await stage.submitter.submit_many(GATE, JOBS)

    async def all_run() -> bool:
        return await _running(stage) == JOBS

    await wait_until(all_run, f"{JOBS} jobs run", ALL_RUN_WITHIN_S)
    first, *others = stage.fleet.of("worker")
    for worker in (first, *others[:-1]):
        await stage.terminate(worker)
        await wait_until(lambda worker=worker: worker.pid != worker.pids[0], f"{worker.name} has left")
        await wait_until(all_run, f"{JOBS} jobs run again", ALL_RUN_WITHIN_S)
    (stage.fleet.effects / GO).touch()


async def _running(stage: Stage) -> int:
    queues = await stage.broker.registry.queues()
    return sum([(await stage.broker.store.measure(queue)).running for queue in queues])


def none_waits_for_a_lease(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that was recovered, charged or late instead of handed back."""
    for job_id, steps in evidence.steps.items():
        if any(step.kind is EventKind.RECOVERED for step in steps):
            yield f"{job_id} waited for a lease to run out"
    for job in evidence.jobs.values():
        if (job.attempts, job.crashes) != (1, 0):
            yield f"{job.id} was charged {job.attempts} attempts and {job.crashes} crashes for one run"
    for job_id, waited_s in _waits_s(evidence):
        if waited_s > ELSEWHERE_WITHIN_S:
            yield f"{job_id} started again {waited_s:.1f} s after it was handed back"
    if not _waits_s(evidence):
        yield "no job was handed back: nothing was shown"


def describe_waits(evidence: Evidence) -> str:
    """Return how long jobs that were handed back waited for their next worker."""
    waits_s = [waited_s for _, waited_s in _waits_s(evidence)]
    if not waits_s:
        return "none"
    return f"{len(waits_s)} jobs, started elsewhere after {median(waits_s):.2f} s (median), {max(waits_s):.2f} s (last)"


def _waits_s(evidence: Evidence) -> list[tuple[str, float]]:
    return [
        (job_id, (after.at_ms - before.at_ms) / 1000)
        for job_id, steps in evidence.steps.items()
        for before, after in pairwise(steps)
        if before.kind is EventKind.HANDED_BACK and after.kind is EventKind.STARTED
    ]
