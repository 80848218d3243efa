"""The checker on stories made up by hand: a sound one has no complaint, and each way to spoil it has its own."""

from collections.abc import Callable

import pytest
from chaos.checker import RULES, check
from chaos.effects import Effect
from chaos.evidence import Evidence, JobRecord, Refusal, Step
from chaos.journal import Fault
from chaos.ledger import Answer, Entry, Ledger
from msgspec.structs import replace

from millstream_contracts import EventKind, JobId

JOB, PID, OTHER_PID = JobId("chaos.slow_1"), 100, 200
T0 = 1_000_000

Spoil = Callable[[Evidence], None]


def step(version: int, kind: EventKind, state: str, deliveries: int, pid: int = 0, detail: str = "") -> Step:
    """Return a transition of the job, a second after the one before."""
    worker = f"host:{pid}:x" if pid else ""
    return Step(JOB, version, kind, state, deliveries, worker, T0 + 1000 * version, detail)


def effect(event: str, fence: int, at_ms: int, pid: int = PID) -> Effect:
    """Return what the job's handler left."""
    return Effect(event=event, job=JOB, key="k", fence=fence, attempt=1, pid=pid, at_ms=at_ms)


def sound() -> Evidence:
    """Return a job whose first worker was killed and whose second one did it."""
    return Evidence(
        ledger=Ledger([Entry("k", "chaos.slow", 1, [Answer(T0, 0.1, 202, id=JOB)])]),
        jobs={
            JOB: JobRecord(
                id=JOB,
                type="chaos.slow",
                state="succeeded",
                key="k",
                attempts=1,
                max_attempts=6,
                crashes=1,
                deliveries=2,
                done_token="2:n",
            )
        },
        steps={
            JOB: [
                step(1, EventKind.SUBMITTED, "queued", 0),
                step(2, EventKind.STARTED, "running", 1, PID),
                step(3, EventKind.RECOVERED, "queued", 1),
                step(4, EventKind.STARTED, "running", 2, OTHER_PID),
                step(5, EventKind.SUCCEEDED, "succeeded", 2, OTHER_PID),
            ]
        },
        effects={
            JOB: [
                effect("started", 1, T0 + 2000),
                effect("started", 2, T0 + 4000, OTHER_PID),
                effect("done", 2, T0 + 4900, OTHER_PID),
            ]
        },
        faults=[Fault("kill", "worker-1", T0 + 2500, T0 + 2500, PID)],
        services={PID: "worker-1", OTHER_PID: "worker-2"},
    )


def change(**fields: object) -> Spoil:
    """Return what changes the job's hash."""

    def spoil(evidence: Evidence) -> None:
        evidence.jobs[JOB] = replace(evidence.jobs[JOB], **fields)

    return spoil


def answer(*answers: Answer) -> Spoil:
    """Return what changes what the submitter was told."""

    def spoil(evidence: Evidence) -> None:
        evidence.ledger.entries[0].answers[:] = answers
        evidence.ledger.entries[0].sent = len(answers)

    return spoil


def without_step(version: int) -> Spoil:
    """Return what takes an event out of the stream."""

    def spoil(evidence: Evidence) -> None:
        evidence.steps[JOB] = [one for one in evidence.steps[JOB] if one.version != version]

    return spoil


def double_job(evidence: Evidence) -> None:
    """Let the key have made a second job."""
    other = JobId("chaos.slow_2")
    evidence.jobs[other] = replace(evidence.jobs[JOB], id=other)


def late_recovery(evidence: Evidence) -> None:
    """Let the killed worker's job wait for a minute."""
    evidence.steps[JOB][2] = replace(evidence.steps[JOB][2], at_ms=T0 + 62_500)


SPOILS: dict[str, tuple[str, str, Spoil]] = {
    "a lost job": ("1", "is nowhere", lambda evidence: evidence.jobs.clear()),
    "a job that never ends": ("1", "never ended", change(state="running")),
    "a death without a reason": ("1", "for no reason", change(state="dead", reason="")),
    "a wrong end": ("1", "should be succeeded", change(state="dead", reason="attempts", attempts=6)),
    "too many attempts": ("1", "attempts of 6", change(attempts=7)),
    "given up too soon": ("1", "was given up after 1 attempts", change(state="dead", reason="attempts")),
    "a refused job that is there": ("1", "was refused and made 1", answer(Answer(T0, 0.1, 422))),
    "two jobs of one key": ("1", "made 2 jobs", double_job),
    "two answers to one key": (
        "1",
        "different jobs",
        answer(Answer(T0, 0.1, 202, id=JOB), Answer(T0, 0.1, 202, id="chaos.slow_2")),
    ),
    "a job that nobody submitted": ("1", "submitted by nobody", change(key="other")),
    "success without its work": ("2", "its work was done by", lambda evidence: evidence.effects[JOB].pop() and None),
    "a zombie's commit": ("2", "a zombie was let in", change(done_token="1:n")),
    "a refusal of a rightful commit": (
        "2",
        "was refused 1 times",
        lambda evidence: evidence.refusals.append(Refusal(JOB, OTHER_PID)),
    ),
    "a delivery that ran twice": (
        "3",
        "ran 2 times",
        lambda evidence: evidence.effects[JOB].append(effect("started", 2, T0 + 4100)),
    ),
    "a second run without a cause": ("3", "nothing had happened", lambda evidence: evidence.faults.clear()),
    "a late recovery": ("4", "are promised", late_recovery),
    "a job in two places": ("places", "twice", lambda evidence: evidence.misplaced.append("it stands here twice")),
    "a lost event": ("events", "has version", without_step(3)),
    "an impossible step": (
        "events",
        "and then",
        lambda evidence: evidence.steps[JOB].append(step(6, EventKind.STARTED, "running", 3, PID)),
    ),
    "another end in the events": ("events", "Redis holds", without_step(5)),
    "a burned crash": ("events", "crashes, and Redis of", change(crashes=2)),
}


def test_a_sound_story_has_no_complaint() -> None:
    """A worker is killed, its job runs again and ends: that is what was promised."""
    assert [str(complaint) for complaint in check(sound())] == []


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoilt_story_has_its_complaint(name: str) -> None:
    """Each rule is broken by something, and says so."""
    promise, words, spoil = SPOILS[name]
    evidence = sound()
    spoil(evidence)
    found = [str(complaint) for complaint in check(evidence)]
    assert any(text.startswith(f"[{promise}]") and words in text for text in found), found


def test_every_promise_has_a_spoilt_story() -> None:
    """A promise that no story breaks would never be seen to be broken."""
    assert {promise for promise, _, _ in SPOILS.values()} == set(RULES)


def test_a_waived_rule_is_silent() -> None:
    """What the docs say can happen in a failover is no complaint there."""
    evidence = sound()
    evidence.effects[JOB].append(effect("started", 2, T0 + 4100))
    assert [str(complaint) for complaint in check(evidence, waived={"no_delivery_runs_twice"})] == []
