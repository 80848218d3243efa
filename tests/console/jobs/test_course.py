"""The course of a job is read from its timeline, or from what the job says by itself."""

from datetime import UTC, datetime, timedelta

from console.seeding import MAIL, past_job

from millstream_console.pages.job.course import MAX_BARS, course_of
from millstream_contracts import Job, JobState, Timeline, TimelineAttempt, TimelineItem, new_job_id

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def later(seconds: float) -> datetime:
    """Return a moment so many seconds after the begin."""
    return BEGIN + timedelta(seconds=seconds)


def timeline(*steps: tuple[float, str, str], attempts: int = 0) -> Timeline:
    """Return a timeline of steps: seconds after the begin, kind, and state."""
    items = [
        TimelineItem(at=later(at), kind=kind, state=JobState(state), version=n + 1)
        for n, (at, kind, state) in enumerate(steps)
    ]
    ran = [
        TimelineAttempt(n=n + 1, started_at=later(n), waited_ms=100, ran_ms=500, outcome="retrying")
        for n in range(attempts)
    ]
    return Timeline(id=new_job_id(MAIL), items=items, attempts=ran, complete=True)


def job_in(state: JobState) -> Job:
    """Return a job in a state."""
    return past_job(state=state)


def test_times_in_one_state_are_added_up() -> None:
    """A state is named once, with all of its times and the whole length; the wait for a retry is no delay."""
    known = timeline(
        (0, "submitted", "scheduled"),
        (10, "released", "queued"),
        (11, "started", "running"),
        (14, "retrying", "scheduled"),
        (20, "released", "queued"),
        (22, "started", "running"),
        (27, "dead", "dead"),
    )
    course = course_of(job_in(JobState.DEAD), known)
    assert [(step.word, step.times, step.length_s) for step in course.steps] == [
        ("scheduled", 1, 10.0),
        ("queued", 2, 3.0),
        ("running", 2, 8.0),
        ("waited to retry", 1, 6.0),
        ("dead", 1, 0.0),
    ]
    assert (course.total_s, course.running_s) == (27.0, 8.0)


def test_the_state_of_now_comes_last_and_what_is_ahead_after_it() -> None:
    """A job that runs again stands in that state at the end, for as long as until now."""
    known = timeline((0, "submitted", "queued"), (1, "started", "running"), (2, "retrying", "scheduled"))
    known = Timeline(
        id=known.id,
        items=[*known.items, TimelineItem(at=later(5), kind="started", state=JobState.RUNNING, version=4)],
        attempts=[],
        complete=True,
    )
    course = course_of(job_in(JobState.RUNNING), known, later(9))
    assert [(step.word, step.is_now, step.is_ahead) for step in course.steps] == [
        ("queued", False, False),
        ("waited to retry", False, False),
        ("running", True, False),
        ("succeeded", False, True),
    ]
    assert course.steps[2].length_s == 1 + 4


def test_a_job_without_a_timeline_tells_its_course_by_itself() -> None:
    """Without a history, the moments of the job are its course."""
    course = course_of(job_in(JobState.SUCCEEDED), None)
    assert [step.word for step in course.steps] == ["queued", "running", "succeeded"]
    assert course.running_s == 2.0
    assert not course.chart


def test_only_the_newest_attempts_are_drawn() -> None:
    """Of very many attempts none could be told from its neighbour, so the oldest are left out and counted."""
    known = timeline((0, "submitted", "queued"), (100, "dead", "dead"), attempts=MAX_BARS + 3)
    course = course_of(job_in(JobState.DEAD), known)
    assert course.left_out == 3
    assert course.chart.count("<svg") == MAX_BARS
    assert "style=" not in course.chart
