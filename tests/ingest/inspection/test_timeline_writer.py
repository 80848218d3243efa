"""A timeline says what is known, and says that something is missing where it is."""

from datetime import UTC, datetime, timedelta

from millstream_contracts import EventKind, Job, JobError, JobId, JobState, JobType
from millstream_history import Transition
from millstream_ingest.inspection.timeline_writer import timeline_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ID = JobId("email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA")


def job(state: JobState, version: int, **fields) -> Job:
    """Return a job as it is now."""
    return Job(id=ID, type=JobType("email.send"), state=state, version=version, created_at=NOW, **fields)


def step(version: int, kind: str, state: str, *, deliveries: int = 0, error: JobError | None = None) -> Transition:
    """Return a stored transition, as many seconds after the first as its version says."""
    at = NOW + timedelta(seconds=version)
    return Transition("default", ID, version, kind, state, at, deliveries, worker="w1", error=error)


SUBMITTED = step(1, "submitted", "queued")
STARTED = step(2, "started", "running", deliveries=1)


def test_a_missing_transition_makes_a_timeline_incomplete():
    """A timeline with a hole in its versions is not complete, and says of no attempt what it does not know."""
    steps = [
        SUBMITTED,
        STARTED,
        step(4, "started", "running", deliveries=2),
        step(5, "succeeded", "succeeded", deliveries=2),
    ]
    found = timeline_of(job(JobState.SUCCEEDED, 5, deliveries=2), steps)
    assert not found.complete
    first, second = found.attempts
    assert (first.outcome, first.ran_ms) == ("unknown", None)
    assert (second.outcome, second.waited_ms, second.ran_ms) == ("succeeded", None, 1000)


def test_the_present_state_is_added_once():
    """The present state of a job is added where no stored transition has it, and not twice."""
    running = job(JobState.RUNNING, 2, deliveries=1, started_at=NOW, worker="w1")
    for stored in ([SUBMITTED], [SUBMITTED, STARTED]):
        found = timeline_of(running, stored)
        assert [item.kind for item in found.items] == ["submitted", "started"]
        assert found.complete
        assert [(one.outcome, one.worker) for one in found.attempts] == [("running", "w1")]


def test_a_transition_that_was_stored_after_the_job_was_read_is_shown():
    """A timeline that has overtaken the job that was read is complete."""
    done = step(3, "succeeded", "succeeded", deliveries=1)
    found = timeline_of(job(JobState.RUNNING, 2, deliveries=1, started_at=NOW), [SUBMITTED, STARTED, done])
    assert found.complete
    assert [one.outcome for one in found.attempts] == ["succeeded"]


def test_a_present_state_that_several_transitions_lead_to_is_not_guessed():
    """Where the last transition is not stored and cannot be told, it is missing."""
    found = timeline_of(job(JobState.QUEUED, 3), [SUBMITTED, STARTED])
    assert [item.version for item in found.items] == [1, 2]
    assert not found.complete


def test_a_request_to_cancel_does_not_end_an_attempt():
    """A running job that was asked to stop ends with what ended it, and not with the request."""
    steps = [
        SUBMITTED,
        STARTED,
        step(3, EventKind.CANCEL_REQUESTED, "running", deliveries=1),
        step(4, "cancelled", "cancelled", deliveries=1),
    ]
    [attempt] = timeline_of(job(JobState.CANCELLED, 4, deliveries=1), steps).attempts
    assert (attempt.outcome, attempt.ran_ms) == ("cancelled", 2000)


def test_the_trace_of_an_attempt_is_that_of_its_error():
    """An attempt whose error names a trace has that one, because a delayed job begins a trace of its own."""
    error = JobError(type="E", message="", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    steps = [SUBMITTED, STARTED, step(3, "dead", "dead", deliveries=1, error=error)]
    [attempt] = timeline_of(job(JobState.DEAD, 3, deliveries=1, trace_id="c" * 32), steps).attempts
    assert attempt.trace_id == "a" * 32


def test_a_word_of_a_newer_release_is_shown():
    """A transition of a kind and a state that this release does not know is part of the timeline."""
    found = timeline_of(job(JobState.BLOCKED, 2), [SUBMITTED, step(2, "parked", "parked")])
    assert [(item.kind, item.state) for item in found.items][1] == ("parked", JobState.BLOCKED)
