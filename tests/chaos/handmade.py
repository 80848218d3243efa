"""Evidence made by hand, for the tests of the checker: one job, and whatever can happen to it."""

from chaos.effects import Effect
from chaos.evidence import Evidence, JobRecord, Refusal, Step
from chaos.journal import Fault
from chaos.ledger import Answer, Entry, Ledger
from msgspec.structs import replace

from millstream_contracts import EventKind

TYPE = "chaos.quick"
JOB, KEY = f"{TYPE}_1", "k1"
ONE, OTHER, INGEST, REAPER = 10, 20, 30, 40
"""The process ids of two workers, an ingest and a reaper."""

NAMES = {ONE: "worker-1", OTHER: "worker-2", INGEST: "ingest-1", REAPER: "reaper-1"}
STATES = {
    EventKind.SUBMITTED: "queued",
    EventKind.STARTED: "running",
    EventKind.RECOVERED: "queued",
    EventKind.HANDED_BACK: "queued",
    EventKind.RETRYING: "scheduled",
    EventKind.RELEASED: "queued",
    EventKind.SUCCEEDED: "succeeded",
    EventKind.DEAD: "dead",
}
SUBMITTED, STARTED, SUCCEEDED = EventKind.SUBMITTED, EventKind.STARTED, EventKind.SUCCEEDED
RECOVERED, HANDED_BACK = EventKind.RECOVERED, EventKind.HANDED_BACK
RETRYING, RELEASED = EventKind.RETRYING, EventKind.RELEASED

Told = tuple[EventKind, int, int]
"""An event, its process (0 for no worker), and its time in ms."""

TWICE: tuple[Told, ...] = (
    (SUBMITTED, 0, 0),
    (STARTED, ONE, 10),
    (RECOVERED, 0, 3_500),
    (STARTED, OTHER, 3_600),
    (SUCCEEDED, OTHER, 3_700),
)


def steps(*told: Told, job_id: str = JOB) -> list[Step]:
    """Return the events of a job, numbered correctly."""
    found: list[Step] = []
    for version, (kind, pid, at_ms) in enumerate(told, start=1):
        deliveries = sum(step.kind is STARTED for step in found) + (kind is STARTED)
        worker = f"host:{pid}:n" if pid else ""
        found.append(Step(job_id, version, kind, STATES[kind], deliveries, worker, at_ms))
    return found


def effect(event: str, fence: int = 1, pid: int = ONE, at_ms: int = 15, child: str = "") -> Effect:
    """Return an effect of a handler."""
    return Effect(event, JOB, KEY, fence, 1, pid, at_ms, child)


def record(**other: object) -> JobRecord:
    """Return a job that has succeeded at once, changed by these fields."""
    sound = {"state": "succeeded", "attempts": 1, "deliveries": 1, "done_token": "1:n", "max_attempts": 6}
    return JobRecord(id=JOB, type=TYPE, key=KEY, **{**sound, **other})


def accepted(*ids: str) -> Entry:
    """Return a submission that was answered with 202 and these jobs."""
    answers = [Answer(0, 0.01, 202, id=job_id, pid=INGEST) for job_id in ids or (JOB,)]
    return Entry(KEY, TYPE, sent=len(answers), answers=answers)


def refused(status: int, problem: str = "") -> Entry:
    """Return a submission that was not accepted."""
    return Entry(KEY, TYPE, sent=1, answers=[Answer(0, 0.01, status, problem=problem, pid=INGEST)])


def once() -> Evidence:
    """Return a run of one job without a fault."""
    return Evidence(
        ledger=Ledger([accepted()]),
        effects={JOB: [effect("started"), effect("done")]},
        jobs={JOB: record()},
        steps={JOB: steps((SUBMITTED, 0, 0), (STARTED, ONE, 10), (SUCCEEDED, ONE, 20))},
        services=NAMES,
    )


def twice() -> Evidence:
    """Return a run in which a worker was killed with the job, and another worker did it."""
    return Evidence(
        ledger=Ledger([accepted()]),
        effects={JOB: [effect("started"), effect("started", 2, OTHER, 3_610), effect("done", 2, OTHER, 3_620)]},
        jobs={JOB: record(deliveries=2, crashes=1, done_token="2:n")},
        steps={JOB: steps(*TWICE)},
        faults=[Fault("kill", "worker-1", 500, 500, ONE)],
        services=NAMES,
    )


def zombie() -> Evidence:
    """Return a run in which a worker was frozen with the job, did it late, and was refused."""
    return replace(
        twice(),
        effects={JOB: [*twice().effects[JOB], effect("done", 1, ONE, 4_000)]},
        faults=[Fault("freeze", "worker-1", 500, 3_900, ONE)],
        refusals=[Refusal(JOB, ONE)],
    )


def handed_back() -> Evidence:
    """Return a run in which a worker was stopped and handed the job back."""
    told = (
        (SUBMITTED, 0, 0),
        (STARTED, ONE, 10),
        (HANDED_BACK, ONE, 600),
        (STARTED, OTHER, 620),
        (SUCCEEDED, OTHER, 630),
    )
    return replace(
        twice(),
        jobs={JOB: record(deliveries=2, handbacks=1, done_token="2:n")},
        steps={JOB: steps(*told)},
        faults=[Fault("terminate", "worker-1", 500, None, ONE)],
    )


def counted(**other: float) -> Evidence:
    """Return a run of one job without a fault, and the metrics of its processes, changed by these values."""
    shown = {"ok": 1, "succeeded": 1, "waits": 1, "waited_s": 0.01, "accepted": 1, "recovered": 0, "stale": 0, **other}
    worker = {
        ("millstream_job_attempts_total", "ok", TYPE): shown["ok"],
        ("millstream_job_attempts_total", "stale", TYPE): shown["stale"],
        ("millstream_jobs_finished_total", "succeeded", TYPE): shown["succeeded"],
        ("millstream_job_queue_wait_seconds_count", TYPE): shown["waits"],
        ("millstream_job_queue_wait_seconds_sum", TYPE): shown["waited_s"],
    }
    ingest = {("millstream_jobs_submitted_total", "accepted", TYPE): shown["accepted"]}
    reaper = {("millstream_recovered_total", "lease_expired", TYPE): shown["recovered"]}
    return replace(once(), counters={ONE: worker, INGEST: ingest, REAPER: reaper})


def retried(released_ms: int = 100, started_ms: int = 110) -> Evidence:
    """Return a run in which the first attempt of a job failed, and the second one succeeded."""
    told = (
        (SUBMITTED, 0, 0),
        (STARTED, ONE, 10),
        (RETRYING, ONE, 20),
        (RELEASED, 0, released_ms),
        (STARTED, ONE, started_ms),
        (SUCCEEDED, ONE, started_ms + 10),
    )
    runs = [effect("started"), effect("started", 2), effect("done", 2)]
    job = record(deliveries=2, attempts=2, done_token="2:n")
    return replace(once(), effects={JOB: runs}, jobs={JOB: job}, steps={JOB: steps(*told)})


def with_job(evidence: Evidence, **other: object) -> Evidence:
    """Return evidence in which the hash of the job is different."""
    return replace(evidence, jobs={JOB: replace(evidence.jobs[JOB], **other)})


def with_effects(evidence: Evidence, *more: Effect) -> Evidence:
    """Return evidence with more effects."""
    return replace(evidence, effects={JOB: [*evidence.effects[JOB], *more]})


def with_steps(evidence: Evidence, *told: Told) -> Evidence:
    """Return evidence with other events."""
    return replace(evidence, steps={JOB: steps(*told)})


def with_ledger(evidence: Evidence, *entries: Entry) -> Evidence:
    """Return evidence with other submissions."""
    return replace(evidence, ledger=Ledger(entries))
