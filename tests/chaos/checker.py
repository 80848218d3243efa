"""Compares promises with what happened: it takes evidence and returns complaints, each in words.

Promises are those of docs/guarantees.md. Promise 5 is about schedules: the rule of their scenario.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

from chaos import lateness, recount, story
from chaos.evidence import Evidence, JobRecord
from chaos.excuses import unexcused
from chaos.ledger import Verdict
from msgspec import Struct

from millstream_contracts import EventKind, JobState

WANTED = {
    "chaos.hopeless": (JobState.DEAD, "attempts"),
    "chaos.endless": (JobState.DEAD, "attempts"),
    "chaos.segfault": (JobState.DEAD, "crashed"),
    "chaos.oom": (JobState.DEAD, "crashed"),
    "chaos.hog": (JobState.DEAD, "crashed"),
}
"""The wanted end of a job, where that is not success."""

REPLACEABLE = "chaos.unique"
"""The type whose jobs may be cancelled in favour of another one with their unique key."""

CHILD_OF = "child of "
"""How the key of a child begins; that of its parent follows."""

Rule = Callable[[Evidence], Iterator[str]]


class Complaint(Struct, frozen=True):
    """One violation of a promise."""

    promise: str
    """`1` to `4`, `dependencies`, `places`, `metrics`, `events` or `scenario`."""
    text: str

    def __str__(self) -> str:
        """Return the complaint in one line."""
        return f"[{self.promise}] {self.text}"


def check(evidence: Evidence, beside: Sequence[Rule] = (), waived: Collection[str] = ()) -> list[Complaint]:
    """Return all violations; `beside` are rules of one scenario, `waived` the names of those left out."""
    every = RULES | {"scenario": tuple(beside)}
    return [
        Complaint(promise, text)
        for promise, rules in every.items()
        for rule in rules
        if rule.__name__ not in waived
        for text in rule(evidence)
    ]


def accepted_jobs_exist(evidence: Evidence) -> Iterator[str]:
    """Promise 1: what was answered with 2xx is stored, and so is a child that its parent was told of."""
    for entry in evidence.ledger.entries:
        for job_id in sorted(entry.ids - evidence.jobs.keys()):
            yield f"{job_id} was accepted and is nowhere"
    for effects in evidence.effects.values():
        for effect in effects:
            if effect.child and effect.child not in evidence.jobs:
                yield f"{effect.child} was submitted by {effect.job} and is nowhere"


def every_job_ends(evidence: Evidence) -> Iterator[str]:
    """Promise 1: each job reaches a terminal state, or is dead for a reason."""
    for job in evidence.jobs.values():
        if not JobState(job.state).is_settled:
            yield f"{job.id} never ended: it is {job.state} after {job.deliveries} deliveries"
        elif job.state == JobState.DEAD and not job.reason:
            yield f"{job.id} is dead for no reason"


def every_job_ends_as_it_must(evidence: Evidence) -> Iterator[str]:
    """Promise 1: no job dies unless it must, and then for the right reason."""
    for job in evidence.jobs.values():
        state, reason = WANTED.get(job.type, (JobState.SUCCEEDED, ""))
        if not JobState(job.state).is_settled or (job.state == state and reason in {"", job.reason}):
            continue
        if job.type == REPLACEABLE and (job.state, job.reason) == (JobState.CANCELLED, "replaced"):
            continue
        yield f"{job.id} should be {state} {reason}".rstrip() + f" and is {job.state} {job.reason}".rstrip()


def budgets_are_kept(evidence: Evidence) -> Iterator[str]:
    """Promise 1: no job is tried more often than `max_attempts`, and none is given up sooner."""
    for job in evidence.jobs.values():
        if job.attempts > job.max_attempts:
            yield f"{job.id} had {job.attempts} attempts of {job.max_attempts}"
        if job.crashes > evidence.max_crashes:
            yield f"{job.id} had {job.crashes} crashes of {evidence.max_crashes}"
        if job.reason == "attempts" and job.attempts < job.max_attempts:
            yield f"{job.id} was given up after {job.attempts} attempts of {job.max_attempts}"
        if job.reason == "crashed" and job.crashes < evidence.max_crashes:
            yield f"{job.id} was given up after {job.crashes} crashes of {evidence.max_crashes}"


def refused_jobs_do_not_exist(evidence: Evidence) -> Iterator[str]:
    """Promise 1: what was certainly refused is not stored."""
    made = _jobs_by_key(evidence)
    for entry in evidence.ledger.entries:
        if entry.verdict is Verdict.REFUSED and made[entry.key]:
            yield f"{entry.key} was refused and made {made[entry.key]} jobs"


def one_key_makes_one_job(evidence: Evidence) -> Iterator[str]:
    """Promise 1: one key makes one job, however often it is sent, and every response names it."""
    made = _jobs_by_key(evidence)
    for entry in evidence.ledger.entries:
        if made[entry.key] > 1:
            yield f"{entry.key} made {made[entry.key]} jobs"
        if len(entry.ids) > 1:
            yield f"{entry.key} was answered with different jobs: {', '.join(sorted(entry.ids))}"


def a_parent_has_one_child(evidence: Evidence) -> Iterator[str]:
    """Promise 1: a parent that submits its child under a key makes one, however often and wherever it runs."""
    for key, count in _jobs_by_key(evidence).items():
        if key.startswith(CHILD_OF) and count > 1:
            yield f"there are {count} jobs for `{key}`"


def every_job_was_submitted(evidence: Evidence) -> Iterator[str]:
    """Promise 1: each job comes from a submission, or is the child of a job that does."""
    keys = {entry.key for entry in evidence.ledger.entries}
    for job in evidence.jobs.values():
        if job.key.removeprefix(CHILD_OF) not in keys:
            yield f"{job.id} is a job that no submission has made"


def success_has_its_effect(evidence: Evidence) -> Iterator[str]:
    """Promise 2: a success has its effect at least once, and its result is that of the delivery that committed."""
    for job in _succeeded(evidence):
        fences = {effect.fence for effect in evidence.runs_of(job.id, "done")}
        if job.done_fence not in fences:
            yield f"{job.id} was committed by delivery {job.done_fence}, and its work was done by {sorted(fences)}"


def the_last_delivery_commits(evidence: Evidence) -> Iterator[str]:
    """Promise 2: a worker that has lost its lease cannot commit, so the last delivery is the one that counts."""
    for job in _succeeded(evidence):
        if job.done_fence != job.deliveries:
            yield f"{job.id} was committed by delivery {job.done_fence} of {job.deliveries}: a zombie was let in"


def refused_commits_are_those_of_zombies(evidence: Evidence) -> Iterator[str]:
    """Promise 2: a commit is refused, and counted, exactly when another delivery had the job by then."""
    refused = Counter((refusal.job, refusal.pid) for refusal in evidence.refusals if not refusal.given_up)
    for (job_id, pid), count in refused.items():
        lost = story.fences_lost(evidence.steps.get(job_id, ())).get(pid, set())
        if count > len(lost):
            yield f"{job_id}: process {pid} was refused {count} times, and had lost it {len(lost)} times"
    heard = {(refusal.job, refusal.pid) for refusal in evidence.refusals}
    for job_id, steps in evidence.steps.items():
        taken = story.fences_taken_back(steps)
        for effect in evidence.runs_of(job_id, "done"):
            pid = taken.get(effect.fence, 0)
            if pid and (job_id, pid) not in heard and _lived_on(evidence, pid, effect.at_ms):
                yield f"{job_id}: delivery {effect.fence} ended after its lease was lost, and was not refused"


def no_delivery_runs_twice(evidence: Evidence) -> Iterator[str]:
    """Promise 3: one delivery is one run, and there is no run without one."""
    for job_id, effects in evidence.effects.items():
        begun = Counter(effect.fence for effect in effects if effect.event == "started")
        delivered = evidence.jobs[job_id].deliveries if job_id in evidence.jobs else 0
        for fence, count in begun.items():
            if count > 1:
                yield f"{job_id}: delivery {fence} ran {count} times"
            if fence > delivered:
                yield f"{job_id}: delivery {fence} ran, and there were {delivered}"


def none_starts_before_its_parents(evidence: Evidence) -> Iterator[str]:
    """Return the jobs that started while one that they wait for had not ended."""
    for entry in evidence.ledger.entries:
        for job_id in entry.ids if entry.after else ():
            begun = next((step for step in evidence.steps.get(job_id, ()) if step.kind is EventKind.STARTED), None)
            for parent in entry.after:
                ended = next((one for one in evidence.steps.get(parent, ()) if JobState(one.state).is_settled), None)
                if begun is not None and (ended is None or begun.at_ms < ended.at_ms):
                    yield f"{job_id} started before {parent} had ended"


def every_job_is_in_one_place(evidence: Evidence) -> Iterator[str]:
    """Return what the audit of the queues found."""
    yield from evidence.misplaced


def everything_comes_to_rest(evidence: Evidence) -> Iterator[str]:
    """Return what is still under way, held or left behind, what ended wrongly, and what only the scenario saw."""
    yield from evidence.unrest


def _jobs_by_key(evidence: Evidence) -> Counter[str]:
    return Counter(job.key for job in evidence.jobs.values())


def _succeeded(evidence: Evidence) -> Iterator[JobRecord]:
    return (job for job in evidence.jobs.values() if job.state == JobState.SUCCEEDED)


def _lived_on(evidence: Evidence, pid: int, after_ms: int) -> bool:
    """Return whether a process was never ended after a time, so that it must have come to commit."""
    return pid in evidence.services and not any(
        fault.was_end_of(pid) and fault.begun_ms >= after_ms for fault in evidence.faults
    )


RULES: dict[str, tuple[Rule, ...]] = {
    "1": (
        accepted_jobs_exist,
        every_job_ends,
        every_job_ends_as_it_must,
        budgets_are_kept,
        refused_jobs_do_not_exist,
        one_key_makes_one_job,
        a_parent_has_one_child,
        every_job_was_submitted,
    ),
    "2": (success_has_its_effect, the_last_delivery_commits, refused_commits_are_those_of_zombies),
    "3": (no_delivery_runs_twice, unexcused),
    "4": (
        lateness.crashed_workers_jobs_are_soon_ready,
        lateness.due_jobs_are_soon_ready,
        lateness.ready_jobs_soon_start,
    ),
    "dependencies": (none_starts_before_its_parents,),
    "places": (every_job_is_in_one_place, everything_comes_to_rest),
    "metrics": (
        recount.workers_count_what_they_commit,
        recount.workers_count_their_refusals,
        recount.workers_time_what_waits,
        recount.reapers_count_what_they_recover,
        recount.ingests_count_what_they_answer,
    ),
    "events": (story.steps_are_legal, story.counts_agree, story.ends_agree),
}
