"""Promise 4: a crashed worker's jobs are ready again within a lease and one pass of the reaper."""

from collections.abc import Iterator

from chaos.evidence import Evidence
from chaos.journal import EVERYTHING, Fault
from chaos.story import deliveries

from millstream_contracts import EventKind

SLACK_MS = 3_000
"""Two cores are shared by a dozen processes, and a pass may just have begun."""


def crashed_workers_jobs_are_soon_ready(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that stayed for longer in the hands of a worker that was dead."""
    allowed_ms = evidence.recovery_ms + SLACK_MS
    for job_id, took_ms, fault in recoveries(evidence):
        if took_ms > allowed_ms and not _was_hindered(evidence, fault, fault.begun_ms + took_ms):
            yield (
                f"{job_id} was ready again {took_ms / 1000:.1f} s after its worker {fault.target} had died, "
                f"and {evidence.recovery_ms / 1000:g} s are promised"
            )


def recoveries(evidence: Evidence) -> Iterator[tuple[str, int, Fault]]:
    """Yield each job that was taken back from a dead worker, with the ms since its death, and that death."""
    for job_id, steps in evidence.steps.items():
        for begun, ended in deliveries(steps):
            if ended is None or ended.kind is not EventKind.RECOVERED:
                continue
            fault = _death(evidence, begun.pid, ended.at_ms)
            if fault is not None:
                yield job_id, ended.at_ms - max(fault.begun_ms, begun.at_ms), fault


def _death(evidence: Evidence, pid: int, before_ms: int) -> Fault | None:
    deaths = (fault for fault in evidence.faults if fault.was_end_of(pid) and fault.begun_ms <= before_ms)
    return next(deaths, None)


def _was_hindered(evidence: Evidence, fault: Fault, until_ms: int) -> bool:
    """Return whether the reapers themselves were met by a fault meanwhile: leases get time after an outage."""
    return any(
        other is not fault
        and (other.target == EVERYTHING or other.target.startswith("reaper"))
        and other.overlaps(fault.begun_ms - evidence.recovery_ms, until_ms)
        for other in evidence.faults
    )
