"""The course of a job: the states that it was in, each with its length, and its attempts on an axis of time."""

from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup
from msgspec import Struct

from millstream import Job, JobState, Timeline, TimelineAttempt, TimelineItem
from millstream_console.drawing.gantt import Bar, gantt
from millstream_console.drawing.numbers import length

MAX_BARS = 12
"""The newest attempts that are drawn: of more, none could be told from its neighbour."""

_RETRIES = frozenset({"retrying", "snoozed"})
_WAITED = "waited to retry"
_AHEAD = ("queued", "running", "succeeded")


class Step(Struct, frozen=True):
    """A state of a job, all times that it was in it together."""

    word: str
    icon: str
    begin: datetime | None
    """When it was in this state first; None for one that is ahead."""
    length_s: float
    times: int
    is_now: bool = False
    is_ahead: bool = False


class Course(Struct, frozen=True):
    """What the page draws of the life of a job."""

    steps: list[Step]
    total_s: float
    running_s: float
    chart: Markup
    left_out: int
    """Attempts that are not drawn."""


def course_of(job: Job, timeline: Timeline | None, now: datetime | None = None) -> Course:
    """Return the course of a job; what the job itself says, where there is no timeline."""
    now = now or datetime.now(UTC)
    items = timeline.items if timeline and timeline.items else _items_of(job)
    end = items[-1].at if job.state.is_settled else max(now, items[-1].at)
    steps = _steps(items, end)
    attempts = timeline.attempts if timeline else []
    total_s = (end - items[0].at).total_seconds()
    bars = [_bar(attempt, items[0].at, end) for attempt in attempts[-MAX_BARS:]]
    return Course(
        steps=[*steps, *_ahead(job)],
        total_s=total_s,
        running_s=sum(step.length_s for step in steps if step.word == JobState.RUNNING),
        chart=gantt(bars, items[0].at, total_s, say=_said(attempts)) if bars else Markup(""),
        left_out=max(len(attempts) - MAX_BARS, 0),
    )


def _steps(items: Sequence[TimelineItem], end: datetime) -> list[Step]:
    """Return the states in the order in which the job came into them first; that of now comes last."""
    found: dict[str, Step] = {}
    ends = [*(item.at for item in items[1:]), end]
    previous = ""
    for item, until in zip(items, ends, strict=True):
        word = _word(item)
        before = found.pop(word, None) if item is items[-1] else found.get(word)
        length_s = max((until - item.at).total_seconds(), 0.0)
        found[word] = Step(
            word=word,
            icon="retry" if word == _WAITED else f"s-{item.state.value}",
            begin=before.begin if before else item.at,
            length_s=length_s + (before.length_s if before else 0.0),
            times=(before.times if before else 0) + (word != previous),
            is_now=item is items[-1],
        )
        previous = word
    return list(found.values())


def _word(item: TimelineItem) -> str:
    is_wait = item.state is JobState.SCHEDULED and item.kind in _RETRIES
    return _WAITED if is_wait else item.state.value


def _ahead(job: Job) -> list[Step]:
    """Return the states that a job will go through if all goes well."""
    if job.state.is_settled:
        return []
    state = job.state.value
    words = _AHEAD[_AHEAD.index(state) + 1 :] if state in _AHEAD else _AHEAD
    return [Step(word, f"s-{word}", None, 0.0, 0, is_ahead=True) for word in words]


def _items_of(job: Job) -> list[TimelineItem]:
    """Return what a job says of its life by itself."""
    if job.state is JobState.BLOCKED:
        return [TimelineItem(at=job.created_at, kind="submitted", state=job.state, version=1)]
    first = JobState.SCHEDULED if job.run_at and job.run_at > job.created_at else JobState.QUEUED
    items = [TimelineItem(at=job.created_at, kind="submitted", state=first, version=1)]
    if job.started_at:
        items.append(TimelineItem(at=job.started_at, kind="started", state=JobState.RUNNING, version=2))
    if items[-1].state is not job.state:
        at = job.finished_at or items[-1].at
        items.append(TimelineItem(at=at, kind=job.state.value, state=job.state, version=job.version))
    return items


def _bar(attempt: TimelineAttempt, begin: datetime, end: datetime) -> Bar:
    start_s = (attempt.started_at - begin).total_seconds()
    is_running = attempt.ran_ms is None and attempt.outcome == "running"
    end_s = (end - begin).total_seconds() if is_running else start_s + (attempt.ran_ms or 0) / 1000
    look = "" if is_running else "win" if attempt.outcome == "succeeded" else "err" if attempt.error else ""
    return Bar(attempt.n, max(start_s - (attempt.waited_ms or 0) / 1000, 0.0), start_s, max(end_s, start_s), look)


def _said(attempts: Sequence[TimelineAttempt]) -> str:
    told = (f"{one.n} ran {length(None if one.ran_ms is None else one.ran_ms / 1000)}" for one in attempts[-MAX_BARS:])
    return f"Attempts: {', '.join(told)}"
