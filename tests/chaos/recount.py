"""Compares the counters of /metrics with a recount: of events for workers and reapers, of responses for ingests.

Counters end with their process, so only processes are compared that lived when all had come to rest. A process that a
fault met may have lost the response of Redis: it may have counted less, and never more.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from chaos.counters import samples_of
from chaos.evidence import Evidence, Step
from chaos.journal import EVERYTHING, STALL
from chaos.story import deliveries

from millstream_contracts import EventKind
from millstream_telemetry import names

Counts = Mapping[tuple[str, ...], float]

_OUTCOMES = {
    EventKind.SUCCEEDED: "ok",
    EventKind.SNOOZED: "snoozed",
    EventKind.HANDED_BACK: "handed_back",
    EventKind.CANCELLED: "cancelled",
    EventKind.RETRYING: "failed",
    EventKind.DEAD: "failed",
}
_FAILED = {"error", "timeout"}
"""Outcomes that no event distinguishes."""
_STATES = {
    EventKind.SUCCEEDED: "succeeded",
    EventKind.DEAD: "dead",
    EventKind.CANCELLED: "cancelled",
    EventKind.EXPIRED: "expired",
}
_UNRUN = {EventKind.HANDED_BACK, EventKind.SNOOZED}
"""What becomes of a delivery that a worker does not run."""

_STORED = {"accepted", "replayed", "unique"}
"""The outcomes of submissions that are answered with a job, their own or the one that holds their unique key."""


def workers_count_what_they_commit(evidence: Evidence) -> Iterator[str]:
    """Complain of each worker whose attempts and finished jobs differ from its events."""
    for pid in _processes(evidence, "worker"):
        steps = [(step, job_id) for job_id, steps in evidence.steps.items() for step in steps if step.pid == pid]
        told = Counter((_type_of(job_id), _OUTCOMES[step.kind]) for step, job_id in steps if step.kind in _OUTCOMES)
        ended = Counter((_type_of(job_id), _STATES[step.kind]) for step, job_id in steps if step.kind in _STATES)
        shown: Counter[tuple[str, ...]] = Counter()
        for (outcome, job_type), count in _shown(evidence, pid, names.JOB_ATTEMPTS).items():
            shown[job_type, "failed" if outcome in _FAILED else outcome] += int(count)
        for one in [key for key in shown if key[1] in {"stale", "lost"}]:
            del shown[one]  # no event tells of them
        finished = {(kind, state): n for (state, kind), n in _shown(evidence, pid, names.JOBS_FINISHED).items()}
        yield from _differences(evidence, pid, "attempts", shown, told)
        yield from _differences(evidence, pid, "finished jobs", finished, ended)


def workers_count_their_refusals(evidence: Evidence) -> Iterator[str]:
    """Complain of each worker whose stale commits differ from its refusals."""
    for pid in _processes(evidence, "worker"):
        told = sum(refusal.pid == pid and not refusal.given_up for refusal in evidence.refusals)
        attempts = _shown(evidence, pid, names.JOB_ATTEMPTS)
        shown = sum(count for (outcome, _), count in attempts.items() if outcome == "stale")
        if shown != told:
            yield f"{_name(evidence, pid)} counted {shown:g} stale attempts, and logged {told}"


def workers_time_what_waits(evidence: Evidence) -> Iterator[str]:
    """Complain of each worker whose queue waits differ from the events in number or time.

    Times are compared in sum. Both are times of Redis, so they differ only by rounding.
    """
    for pid in _processes(evidence, "worker"):
        executed, declined, waited_s = _waits(evidence, pid)
        counters = evidence.counters[pid]
        shown = sum(samples_of(counters, f"{names.JOB_QUEUE_WAIT.name}_count").values())
        shown_s = sum(samples_of(counters, f"{names.JOB_QUEUE_WAIT.name}_sum").values())
        if shown > executed + declined or (shown < executed and not _was_met(evidence, pid)):
            told = f"{executed}" if not declined else f"{executed} to {executed + declined}"
            yield f"{_name(evidence, pid)} counted {shown:g} waits, and events tell of {told}"
        elif shown == executed and not declined and abs(shown_s - waited_s) > 0.1 * waited_s + 0.01 * executed:
            yield f"{_name(evidence, pid)} counted waits of {shown_s:.1f} s, and events tell of {waited_s:.1f} s"


def reapers_count_what_they_recover(evidence: Evidence) -> Iterator[str]:
    """Complain when the recoveries of reapers that lived throughout differ from the events."""
    if not (pids := _processes(evidence, "reaper")):
        return
    told = Counter(
        (_type_of(job_id),)
        for job_id, steps in evidence.steps.items()
        for step in steps
        if step.kind is EventKind.RECOVERED
    )
    shown: Counter[tuple[str, ...]] = Counter()
    for pid in pids:
        for (_, job_type), count in _shown(evidence, pid, names.RECOVERED).items():
            shown[(job_type,)] += int(count)
    if shown != told and (any(shown[one] > told[one] for one in shown) or not _lost_counts(evidence, "reaper")):
        yield f"reapers counted {_words(shown)} recovered, and events tell of {_words(told)}"


def ingests_count_what_they_answer(evidence: Evidence) -> Iterator[str]:
    """Complain of each ingest whose count of accepted jobs differs from its 2xx responses."""
    for pid in _processes(evidence, "ingest"):
        answers = [answer for entry in evidence.ledger.entries for answer in entry.answers if answer.pid == pid]
        told = sum(answer.is_accepted for answer in answers)
        submitted = _shown(evidence, pid, names.JOBS_SUBMITTED)
        shown = sum(count for (outcome, _), count in submitted.items() if outcome in _STORED)
        unknown = sum(not answer.is_accepted and not answer.is_certain_refusal for answer in answers)
        if not told <= shown <= told + unknown:
            yield f"{_name(evidence, pid)} counted {shown:g} accepted jobs, and answered {told}"


def _waits(evidence: Evidence, pid: int) -> tuple[int, int, float]:
    """Return how many deliveries a worker has executed, how many it may have given back unrun, and all their waits.

    What it gave back before the handler began may have been executed: its handler process may have been starting.
    """
    executed, declined, waited_ms = 0, 0, 0
    for steps in evidence.steps.values():
        for before, (begun, ended) in zip(_before_deliveries(steps), deliveries(steps), strict=True):
            if begun.pid == pid:
                has_declined = _was_declined(evidence, begun, ended)
                executed, declined = executed + (not has_declined), declined + has_declined
                waited_ms += max(0, begun.at_ms - before.at_ms)
    return executed, declined, waited_ms / 1000


def _before_deliveries(steps: Sequence[Step]) -> Iterator[Step]:
    return (before for before, step in pairwise(steps) if step.kind is EventKind.STARTED)


def _was_declined(evidence: Evidence, begun: Step, ended: Step | None) -> bool:
    """Return whether a worker that had no room for a delivery, or could not run it alone, gave it back unrun."""
    return ended is not None and ended.kind in _UNRUN and not evidence.has_run(begun)


def _processes(evidence: Evidence, kind: str) -> list[int]:
    return [pid for pid in evidence.counters if _name(evidence, pid).startswith(kind)]


def _shown(evidence: Evidence, pid: int, metric: names.MetricSpec) -> Counts:
    return samples_of(evidence.counters[pid], metric.name)


def _differences(evidence: Evidence, pid: int, what: str, shown: Counts, told: Counts) -> Iterator[str]:
    for one in sorted(shown.keys() | told.keys()):
        counted, real = shown.get(one, 0), told.get(one, 0)
        if counted > real or (counted < real and not _was_met(evidence, pid)):
            yield f"{_name(evidence, pid)} counted {counted:g} {what} {' '.join(one)}, and events tell of {real:g}"


def _was_met(evidence: Evidence, pid: int) -> bool:
    """Return whether any fault met a process or its link."""
    name = _name(evidence, pid)
    return any(
        fault.kind != STALL and (fault.target == EVERYTHING or (fault.target == name and fault.pid in {0, pid}))
        for fault in evidence.faults
    )


def _lost_counts(evidence: Evidence, kind: str) -> bool:
    """Return whether counters of a kind of service were lost, by the end of a process or a fault."""
    return any(
        fault.target == EVERYTHING or fault.target.startswith(kind) for fault in evidence.faults if fault.kind != STALL
    )


def _name(evidence: Evidence, pid: int) -> str:
    return evidence.services.get(pid, "")


def _type_of(job_id: str) -> str:
    return job_id.partition("_")[0]


def _words(counts: Counts) -> str:
    return ", ".join(f"{count:g} {' '.join(one)}" for one, count in sorted(counts.items())) or "none"
