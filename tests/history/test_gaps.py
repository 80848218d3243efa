"""Times of which events were lost are noted, taken by one process, closed, and told to those who ask for a time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from history_seeds import store

from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    Job,
    JobState,
    JobTransition,
    JobType,
    Queue,
    StatGap,
    made_at,
    new_job_id,
)
from millstream_history import History, open_history
from millstream_history.projection.derived import outcome_of

QUEUE = Queue(DEFAULT_TENANT, JobType("mail.send"))
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield a history with empty tables."""
    async with open_history(history_url) as opened:
        yield opened


async def told(history: History, begin: datetime, end: datetime) -> list[StatGap]:
    """Return the gaps of a time."""
    return await history.gaps.between(QUEUE.tenant, QUEUE.type, begin, end)


async def test_a_gap_grows_and_never_shrinks(history: History) -> None:
    """A gap is as long as the longest of its notes, and one that is closed opens again only when it is longer."""
    await history.gaps.note(QUEUE, NOON, NOON + 2 * MINUTE)
    await history.gaps.note(QUEUE, NOON, NOON + MINUTE)
    assert await told(history, NOON, NOON + MINUTE) == [StatGap(begin=NOON, end=NOON + 2 * MINUTE)]
    await history.gaps.close(QUEUE, NOON + 2 * MINUTE, NOON)
    await history.gaps.note(QUEUE, NOON, NOON + 2 * MINUTE)
    assert not await history.gaps.take(QUEUE, "one", NOON)
    await history.gaps.note(QUEUE, NOON, NOON + 3 * MINUTE)
    assert await history.gaps.take(QUEUE, "one", NOON)


async def test_a_gap_is_closed_by_its_very_end_and_not_before(history: History) -> None:
    """What is repaired up to a time closes the gaps that end then or earlier, and stays told."""
    await history.gaps.note(QUEUE, NOON, NOON + MINUTE)
    await history.gaps.close(QUEUE, NOON + MINUTE / 2, NOON)
    assert await history.gaps.take(QUEUE, "one", NOON)
    await history.gaps.close(QUEUE, NOON + MINUTE, NOON)
    assert not await history.gaps.take(QUEUE, "one", NOON)
    assert len(await told(history, NOON, NOON + MINUTE)) == 1


async def test_only_the_gaps_of_a_time_are_told(history: History) -> None:
    """A gap that ended before the time, or begins after it, does not belong to it; overlapping ones are one."""
    await history.gaps.note(QUEUE, NOON, NOON + 2 * MINUTE)
    await history.gaps.note(QUEUE, NOON + MINUTE, NOON + 3 * MINUTE)
    assert await told(history, NOON, NOON + 2 * MINUTE) == [StatGap(begin=NOON, end=NOON + 3 * MINUTE)]
    assert await told(history, NOON + 4 * MINUTE, NOON + 5 * MINUTE) == []
    assert await told(history, NOON - 2 * MINUTE, NOON) == []


async def test_jobs_without_an_end_are_found_page_by_page_each_once(history: History) -> None:
    """The page behind a job begins with the next one, also among jobs of one millisecond."""
    ids = sorted(new_job_id(QUEUE, 1_795_000_000_000) for _ in range(3))
    for job_id in ids:
        job = Job(id=job_id, type=QUEUE.type, state=JobState.QUEUED, version=1, created_at=made_at(job_id))
        await store(history, QUEUE, job)
    begin, end = made_at(ids[0]) - MINUTE, made_at(ids[0]) + MINUTE
    assert await history.repairer.unsettled(QUEUE, begin=begin, end=end) == ids
    assert await history.repairer.unsettled(QUEUE, begin=begin, end=end, after=ids[0]) == ids[1:]


async def test_a_transition_that_is_stored_stays_as_it_is(history: History) -> None:
    """A transition is what was first told of it; only one that was read from the state of its job is replaced."""
    job_id = new_job_id(QUEUE, 1_795_000_000_000)
    job = Job(id=job_id, type=QUEUE.type, state=JobState.CANCELLED, version=2, created_at=made_at(job_id))

    def event(version: int, detail: str) -> Event:
        step = JobTransition(job_id, version, "cancelled", 0, detail)
        return Event(f"{version}-0", EventKind.CANCELLED, 1_795_000_000_000, "", [step])

    await store(history, QUEUE, job, [event(2, "first")])
    await store(history, QUEUE, job, [event(2, "second")])
    assert [step.detail for step in await history.transitions(QUEUE.tenant, job_id)] == ["first"]


@pytest.mark.parametrize("state", JobState)
def test_the_outcome_of_a_job_is_how_it_ended_without_success(state: JobState) -> None:
    """Dead, cancelled and expired jobs have their state as outcome, and all others none."""
    ended = {JobState.DEAD, JobState.CANCELLED, JobState.EXPIRED}
    assert outcome_of(state) == (state.value if state in ended else None)
