"""The rules of unique jobs: no key has two jobs at once, by the events and by what handlers saw."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from chaos.evidence import Evidence, Step
from chaos.submitter import Wish
from chaos.unique_names import WINDOW_S, UniqueName
from msgspec import Struct

from millstream_contracts import EventKind, JobState

TYPE = "chaos.unique"
SOLE = Wish(type=TYPE, weight=60, seconds=(0.1, 0.8), times=(0, 1), unique=True)


class Hold(Struct, frozen=True):
    """The time in which a job has its key. Unix ms."""

    begun_ms: int
    ended_ms: float
    job: str


def no_two_jobs_hold_a_key(evidence: Evidence) -> Iterator[str]:
    """Complain when a job was stored while another one had its key, by the times of Redis."""
    for key, holds in _holds(evidence).items():
        for before, after in pairwise(sorted(holds, key=lambda hold: (hold.begun_ms, hold.ended_ms))):
            if after.begun_ms < before.ended_ms:
                yield f"{after.job} got the key `{key}` while {before.job} had it"


def no_two_jobs_of_a_key_run_at_once(evidence: Evidence) -> Iterator[str]:
    """Complain when handlers of two jobs with one key of scope `running` ran side by side, by their own clocks."""
    runs: defaultdict[str, list[Hold]] = defaultdict(list)
    for job in _unique_jobs(evidence):
        if UniqueName.of(evidence.jobs[job].key).scope == "running":
            runs[UniqueName.of(evidence.jobs[job].key).key] += _runs(evidence, job)
    for key, found in runs.items():
        for before, after in pairwise(sorted(found, key=lambda run: run.begun_ms)):
            if after.job != before.job and after.begun_ms < before.ended_ms:
                yield f"{after.job} and {before.job} of the key `{key}` ran at once"


def keys_were_in_the_way(evidence: Evidence) -> Iterator[str]:
    """Complain when no job was answered with another, refused or replaced, because then nothing was shown."""
    counts = count_conflicts(evidence)
    yield from (f"no job was {name}: nothing was shown" for name, count in counts.items() if not count)


def count_conflicts(evidence: Evidence) -> dict[str, int]:
    """Return how many submissions met the holder of their key, by what became of that."""
    entries = [entry for entry in evidence.ledger.entries if entry.type == TYPE]
    own = {job.key: job.id for job in evidence.jobs.values()}
    return {
        "returned": sum(bool(entry.ids) and entry.key not in own for entry in entries),
        "rejected": sum(answer.problem == "unique-conflict" for entry in entries for answer in entry.answers),
        "replaced": sum(job.reason == "replaced" for job in evidence.jobs.values()),
    }


def describe_conflicts(evidence: Evidence) -> str:
    """Return what became of submissions that met the holder of their key."""
    return ", ".join(f"{count} {name}" for name, count in count_conflicts(evidence).items())


def _unique_jobs(evidence: Evidence) -> list[str]:
    return [job.id for job in evidence.jobs.values() if job.type == TYPE]


def _holds(evidence: Evidence) -> dict[str, list[Hold]]:
    found: defaultdict[str, list[Hold]] = defaultdict(list)
    for job in _unique_jobs(evidence):
        name, steps = UniqueName.of(evidence.jobs[job].key), evidence.steps.get(job, [])
        if steps:
            found[name.key].append(Hold(steps[0].at_ms, _freed_ms(name, steps), job))
    return found


def _freed_ms(name: UniqueName, steps: list[Step]) -> float:
    """Return when a job frees its key, by the rules of docs/unique.md."""
    ended = next((step for step in steps if JobState(step.state).is_settled), None)
    ended_ms = float("inf") if ended is None else ended.at_ms
    if name.scope == "running":
        return ended_ms
    if name.scope == "queued":
        return min(ended_ms, *(step.at_ms for step in steps if step.kind is EventKind.STARTED), float("inf"))
    # The window is counted in the step that stores the job, whose time the event has.
    window_ms = steps[0].at_ms + WINDOW_S * 1000
    return window_ms if ended is None or ended.state == JobState.SUCCEEDED else min(ended_ms, window_ms)


def _runs(evidence: Evidence, job: str) -> Iterator[Hold]:
    """Yield the runs of a job; those of a killed worker, of which the end is not known, are left out."""
    done = {effect.fence: effect.at_ms for effect in evidence.runs_of(job, "done")}
    for effect in evidence.runs_of(job, "started"):
        if effect.fence in done:
            yield Hold(effect.at_ms, done[effect.fence], job)
