"""Promise 3: a handler runs again only when its worker died, was cut off, lost its lease, or was told to stop.

The journal of faults is the only excuse.
"""

from collections.abc import Iterator

from chaos.evidence import Evidence, Step
from chaos.story import deliveries

from millstream_contracts import EventKind

_INTERRUPTIONS = {EventKind.RECOVERED, EventKind.HANDED_BACK}


def unexcused(evidence: Evidence) -> Iterator[str]:
    """Complain of each delivery that was recovered or handed back although no fault had met its worker."""
    for job_id, steps in evidence.steps.items():
        for begun, ended in deliveries(steps):
            if ended is None or not _is_interrupted(ended) or _is_excused(evidence, begun, ended):
                continue
            if ended.kind is EventKind.HANDED_BACK and not evidence.has_run(begun):
                continue  # a blocking read brought more than there was room for: no handler knows of it
            yield (
                f"{job_id}: delivery {begun.deliveries} to process {begun.pid} was {ended.kind} after "
                f"{(ended.at_ms - begun.at_ms) / 1000:.1f} s, and nothing had happened to that worker"
            )


def _is_interrupted(ended: Step) -> bool:
    return ended.kind in _INTERRUPTIONS or (ended.kind is EventKind.DEAD and ended.detail == "crashed")


def _is_excused(evidence: Evidence, begun: Step, ended: Step) -> bool:
    service = evidence.services.get(begun.pid, "")
    return any(fault.excuses(service, begun.pid, begun.at_ms, ended.at_ms) for fault in evidence.faults)
