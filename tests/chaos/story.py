"""Compares the event stream with the hashes, and derives from it which worker had a job when."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from chaos.evidence import Evidence, Step
from streams.model import FOLLOWS

from millstream_contracts import EventKind, JobState

_ATTEMPTS = {EventKind.SUCCEEDED, EventKind.RETRYING}


def steps_are_legal(evidence: Evidence) -> Iterator[str]:
    """Complain of a gap in the versions, and of an impossible transition, such as one after an end."""
    for job_id, steps in evidence.steps.items():
        state = ""
        for wanted, step in enumerate(steps, start=1):
            if step.version != wanted:
                yield f"{job_id}: its event {wanted} has version {step.version} ({step.kind})"
                break
            if step.state not in FOLLOWS.get(state, ()):
                yield f"{job_id}: it was {state or 'not there'}, and then {step.state} ({step.kind})"
                break
            state = step.state


def ends_agree(evidence: Evidence) -> Iterator[str]:
    """Complain where the last event of a job and its hash differ, or one of them is missing."""
    for job_id in sorted(evidence.jobs.keys() | evidence.steps.keys()):
        steps, job = evidence.steps.get(job_id), evidence.jobs.get(job_id)
        told, held = steps[-1].state if steps else "nothing", job.state if job else "nothing"
        if told != held:
            yield f"{job_id}: its events end with {told}, and Redis holds {held}"


def counts_agree(evidence: Evidence) -> Iterator[str]:
    """Complain where a job's counts differ from its events: a crash or a hand-back counts no attempt."""
    for job_id, job in evidence.jobs.items():
        held = {
            "attempts": job.attempts,
            "crashes": job.crashes,
            "deliveries": job.deliveries,
            "handbacks": job.handbacks,
        }
        told = _counts(evidence.steps.get(job_id, ()))
        if held["crashes"] >= max(1, evidence.max_crashes - 1):
            # It had to wait to run alone: a worker that died meanwhile is not charged to it, and no event says which.
            told["crashes"] = min(told["crashes"], max(held["crashes"], evidence.max_crashes - 1))
        yield from (
            f"{job_id}: its events tell of {told[name]} {name}, and Redis of {held[name]}"
            for name in held
            if told[name] != held[name]
        )


def _counts(steps: Sequence[Step]) -> dict[str, int]:
    counts = dict.fromkeys(("attempts", "crashes", "deliveries", "handbacks"), 0)
    state = ""
    for step in steps:
        crashed = step.kind is EventKind.RECOVERED or (step.kind is EventKind.DEAD and step.detail == "crashed")
        counts["deliveries"] += step.kind is EventKind.STARTED
        counts["handbacks"] += step.kind is EventKind.HANDED_BACK
        # What was read and never claimed comes back as well, and is charged nothing.
        counts["crashes"] += crashed and state == JobState.RUNNING
        counts["attempts"] += step.kind in _ATTEMPTS or (step.kind is EventKind.DEAD and not crashed)
        state = step.state
    return counts


def fences_taken_back(steps: Sequence[Step]) -> dict[int, int]:
    """Return the deliveries of a job that the reaper recovered, with the process of each."""
    return {begun.deliveries: begun.pid for begun, ended in deliveries(steps) if ended is not None and not ended.worker}


def fences_lost(steps: Sequence[Step]) -> dict[int, set[int]]:
    """Return by process the deliveries whose job it lost, by a recovery or another delivery."""
    lost: defaultdict[int, set[int]] = defaultdict(set)
    taken = fences_taken_back(steps)
    last = max((step.deliveries for step in steps), default=0)
    for begun, _ in deliveries(steps):
        if begun.deliveries in taken or begun.deliveries < last:
            lost[begun.pid].add(begun.deliveries)
    return dict(lost)


def deliveries(steps: Sequence[Step]) -> Iterator[tuple[Step, Step | None]]:
    """Yield each delivery of a job with its end."""
    for at, step in enumerate(steps):
        if step.kind is EventKind.STARTED:
            later = (other for other in steps[at + 1 :] if other.kind is not EventKind.CANCEL_REQUESTED)
            yield step, next(later, None)
