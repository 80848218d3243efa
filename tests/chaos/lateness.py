"""Bounds how long jobs wait by the settings: by leases, and by the passes of the duties that find the jobs.

Promise 4: a crashed worker's jobs are ready again within a lease and one pass of the reaper. Beside it, a due job is
ready within one pass of the dispatcher, and a ready job starts as soon as a worker has room.

Each is allowed one lease more. A dozen processes share the cores, and a process that got no time for a whole lease
would lose its jobs by the rules.
"""

from collections.abc import Iterator
from itertools import pairwise

from chaos.evidence import Evidence, Step
from chaos.journal import EVERYTHING, Fault
from chaos.story import deliveries

from millstream_contracts import EventKind, JobState


def crashed_workers_jobs_are_soon_ready(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that a dead worker held for longer than a lease and a pass."""
    allowed_ms = evidence.recovery_ms + evidence.lease_ms
    for job_id, took_ms, fault in recoveries(evidence):
        until_ms = fault.begun_ms + took_ms
        if took_ms > allowed_ms and not _was_hindered(evidence, ("reaper",), fault.begun_ms, until_ms, but=fault):
            yield (
                f"{job_id} was ready again {took_ms / 1000:.1f} s after its worker {fault.target} had died, "
                f"and {evidence.recovery_ms / 1000:g} s are promised"
            )


def due_jobs_are_soon_ready(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that stayed scheduled for longer than its delay and a pass of the dispatcher."""
    for job_id, before, after in _pairs(evidence):
        if before.state != JobState.SCHEDULED or after.kind is not EventKind.RELEASED or job_id not in evidence.jobs:
            continue
        due_ms = before.at_ms + evidence.jobs[job_id].longest_pause_ms
        late_ms = after.at_ms - due_ms
        if late_ms <= evidence.pass_ms + evidence.lease_ms:
            continue
        if not _was_hindered(evidence, ("dispatcher",), due_ms, after.at_ms):
            yield f"{job_id} was released {late_ms / 1000:.1f} s after it was due: a pass is {evidence.pass_ms} ms"


def ready_jobs_soon_start(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that was ready for longer than a lease and a pass while workers had room."""
    held = sorted((begun.at_ms, ended.at_ms if ended else begun.at_ms) for begun, ended in _held(evidence))
    for job_id, before, after in _pairs(evidence):
        waited_ms = after.at_ms - before.at_ms
        if after.kind is not EventKind.STARTED or waited_ms <= evidence.recovery_ms + evidence.lease_ms:
            continue
        beside = sum(begun_ms < after.at_ms and ended_ms > before.at_ms for begun_ms, ended_ms in held)
        if beside < evidence.slots and not _was_hindered(evidence, ("worker",), before.at_ms, after.at_ms):
            yield f"{job_id} was ready for {waited_ms / 1000:.1f} s before a worker took it, and slots were free"


def recoveries(evidence: Evidence) -> Iterator[tuple[str, int, Fault]]:
    """Yield each job that was recovered from a dead worker, with the ms since that death, and the death."""
    for job_id, steps in evidence.steps.items():
        for begun, ended in deliveries(steps):
            if ended is None or ended.kind is not EventKind.RECOVERED:
                continue
            fault = _death(evidence, begun.pid, ended.at_ms)
            if fault is not None:
                yield job_id, ended.at_ms - max(fault.begun_ms, begun.at_ms), fault


def _pairs(evidence: Evidence) -> Iterator[tuple[str, Step, Step]]:
    """Yield each step of each job with the one after it."""
    for job_id, steps in evidence.steps.items():
        for before, after in pairwise(steps):
            yield job_id, before, after


def _held(evidence: Evidence) -> Iterator[tuple[Step, Step | None]]:
    for steps in evidence.steps.values():
        yield from deliveries(steps)


def _death(evidence: Evidence, pid: int, before_ms: int) -> Fault | None:
    deaths = (fault for fault in evidence.faults if fault.was_end_of(pid) and fault.begun_ms <= before_ms)
    return next(deaths, None)


def _was_hindered(
    evidence: Evidence, kinds: tuple[str, ...], begun_ms: int, until_ms: int, but: Fault | None = None
) -> bool:
    """Return whether a fault met services of these kinds then or shortly before, since an outage gives leases time."""
    return any(
        other is not but
        and (other.target == EVERYTHING or other.target.startswith(kinds))
        and other.overlaps(begun_ms - evidence.recovery_ms, until_ms)
        for other in evidence.faults
    )
