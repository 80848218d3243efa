"""The duty `dead-counter` adds up how many jobs have died, so that the list of errors reads few rows."""

from datetime import UTC, datetime

from history_databases import query
from history_seeds import store

from millstream_contracts import DEFAULT_TENANT, Job, JobState, JobType, Queue, made_at, new_job_id
from millstream_dispatcher.dead_counter import DeadCounter
from millstream_history import open_history

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))


async def test_deaths_are_added_up(history_url: str) -> None:
    """A pass turns the deaths since the last one into a count; without any it does nothing."""
    async with open_history(history_url) as history:
        for _ in range(3):
            job_id = new_job_id(QUEUE)
            died = Job(id=job_id, type=QUEUE.type, state=JobState.DEAD, version=2, created_at=made_at(job_id))
            await store(history, QUEUE, died)
        duty = DeadCounter(history)
        first, second = await duty.run_once(), await duty.run_once()
        found = await history.search.dead_groups(QUEUE.tenant, None, None, datetime.now(UTC))
    assert (first.changes, second.changes, first.more) == (3, 0, False)
    assert await query(history_url, "SELECT n FROM dead_counts") == [(3,)]
    assert [group.count for group in found.groups] == [3]
