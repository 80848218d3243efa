"""The pages of a list contain each job once, and a foreign cursor raises CursorError and nothing else."""

import base64
import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams.seeds import (
    ERROR,
    FAR_MS,
    TTL_MS,
    commit,
    fields_of,
    make_due,
    new_job,
    seed,
    seed_dead,
    seed_running,
    take,
)

from millstream_contracts import DEFAULT_TENANT, Dead, JobId, JobState, JobType, Priority, Queue, QueueLimits
from millstream_streams import LISTABLE_STATES, Broker, Commit, CursorError, Parents
from millstream_streams.reading.listing import Cursor

PARENTS = Parents((JobId("a.parent"),), (JobId("a.parent"),))
"""Of a blocked job."""

_batches = itertools.count()


async def pages(broker: Broker, queues: Sequence[Queue], state: JobState, limit: int) -> list[list[JobId]]:
    """Return the ids of each page, until there is no next."""
    found, cursor = [], None
    for _ in range(1000):
        page = await broker.listing.jobs(queues, state, cursor=cursor, limit=limit)
        found.append([job.id for job in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


async def in_state(broker: Broker, queue: Queue, state: JobState, count: int, priority: Priority) -> list[JobId]:
    """Store jobs and bring them into a state."""
    if not count:
        return []
    if state is JobState.BLOCKED:
        return await seed(broker, queue, count, parents=PARENTS, priority=priority)
    if state is JobState.SCHEDULED:
        ids = await seed(broker, queue, count, delay_ms=FAR_MS, priority=priority)
        # As it is with a batch: many share one and the same time.
        for at, job_id in enumerate(ids):
            await make_due(broker, queue, [job_id], 4_102_444_800_000 + at // 5)
        return ids
    ids = await seed(broker, queue, count, priority=priority)
    if state is JobState.QUEUED:
        return ids
    deliveries = await take(broker, queue, limit=count)
    if state is JobState.DEAD:
        commits = [Commit(one, Dead("x", ERROR), TTL_MS) for one in deliveries]
        await broker.store.commit(queue, worker="w1", commits=commits)
    return ids


async def test_jobs_that_a_limit_holds_back_are_listed_behind_those_that_are_ready(
    broker: Broker, queue: Queue
) -> None:
    """Each job of a queue with limits is on one page, also when the one that ended a page is let in meanwhile."""
    await broker.settings.limit(queue, QueueLimits(concurrency=1))
    low = await seed(broker, queue, 4, priority=Priority.LOW)
    high = await seed(broker, queue, 3, priority=Priority.HIGH)
    assert await pages(broker, [queue], JobState.QUEUED, 2) == [[low[0], high[0]], high[1:], low[1:3], low[3:]]
    first = await broker.listing.jobs([queue], JobState.QUEUED, cursor=None, limit=2)
    for _ in range(2):
        (delivery,) = await take(broker, queue, limit=1)
        await commit(broker, delivery)
    rest = await broker.listing.jobs([queue], JobState.QUEUED, cursor=first.next_cursor, limit=9)
    assert [job.id for job in rest.items] == [*high[2:], *low[1:]]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    state=st.sampled_from(LISTABLE_STATES),
    sizes=st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 12)), max_size=4),
    limit=st.integers(1, 14),
)
async def test_pages_show_every_job_once(
    broker: Broker, state: JobState, sizes: list[tuple[Priority, int]], limit: int
) -> None:
    """All pages together contain every job once, and none is larger than asked for, at any size of queue and page."""
    batch = next(_batches)
    wanted: list[JobId] = []
    queues = []
    # `a`, `a-b` and `a.b`: as text their keys do not sort as the queues do.
    for at, (priority, count) in enumerate(sizes):
        queue = Queue(DEFAULT_TENANT, JobType(f"a{batch}" + ("", "-b", ".b", "b")[at]))
        queues.append(queue)
        wanted += await in_state(broker, queue, state, count, priority)
    found = await pages(broker, sorted(queues), state, limit)
    assert sorted(itertools.chain(*found)) == sorted(wanted)
    assert max(map(len, found)) <= limit


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_keep_the_order_of_the_list(broker: Broker, queue: Queue, limit: int) -> None:
    """Pages of any size keep the order by queue, priority and age."""
    wanted = []
    for priority in Priority:
        wanted += await seed(broker, queue, 3, priority=priority)
    assert list(itertools.chain(*await pages(broker, [queue], JobState.QUEUED, limit))) == wanted


async def test_a_list_holds_only_jobs_of_its_state(broker: Broker, queue: Queue) -> None:
    """A job stands in the list of its state and in no other."""
    wanted = {
        JobState.DEAD: [await seed_dead(broker, queue)],
        JobState.RUNNING: [(await seed_running(broker, queue)).id],
        JobState.SCHEDULED: await seed(broker, queue, delay_ms=FAR_MS),
        JobState.QUEUED: await seed(broker, queue),
        JobState.BLOCKED: await seed(broker, queue, parents=PARENTS),
    }
    for state in LISTABLE_STATES:
        assert list(itertools.chain(*await pages(broker, [queue], state, 10))) == wanted[state]


@pytest.mark.parametrize("state", LISTABLE_STATES)
async def test_a_list_of_nothing_is_one_empty_page(broker: Broker, queue: Queue, state: JobState) -> None:
    """The list of a queue that was never used is one empty page, and makes no key."""
    assert await pages(broker, [queue], state, 10) == [[]]
    assert await pages(broker, [], state, 10) == [[]]
    assert not await broker.client.exists(*broker.keys.of(queue).script_keys)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_list_skips_nothing_when_shown_jobs_leave(broker: Broker, queue: Queue, limit: int) -> None:
    """When jobs end that a page has shown, the next pages still contain each remaining job once."""
    for ties in (8, 4, 1):
        ids = await seed(broker, queue, 8, delay_ms=FAR_MS)
        for at, job_id in enumerate(sorted(ids)):
            await make_due(broker, queue, [job_id], 4_102_444_800_000 + at // ties)
        shown: list[JobId] = []
        cursor = None
        while True:
            page = await broker.listing.jobs([queue], JobState.SCHEDULED, cursor=cursor, limit=limit)
            shown += [job.id for job in page.items]
            await broker.store.cancel(queue, [job.id for job in page.items])
            cursor = page.next_cursor
            if cursor is None:
                break
        assert shown == sorted(ids)


async def test_a_list_of_running_jobs_passes_over_entries_that_vanished(broker: Broker, torn_queue: Queue) -> None:
    """A pending entry without its stream entry or job is skipped, and ends no page early."""
    first, second, third, fourth = [await seed_running(broker, torn_queue) for _ in range(4)]
    keys = broker.keys.of(torn_queue)
    await broker.client.xdel(keys.ready[1], second.entry)
    await broker.client.delete(keys.job(third.id))
    found = await pages(broker, [torn_queue], JobState.RUNNING, 1)
    assert list(itertools.chain(*found)) == [first.id, fourth.id]
    assert (await fields_of(broker, torn_queue, second.id))["state"] == b"running"


async def test_dead_letters_come_newest_first(broker: Broker, queue: Queue) -> None:
    """Dead letters are listed newest first, each with its reason."""
    ids = [await seed_dead(broker, queue, reason=f"reason {at}") for at in range(5)]
    shown, cursor = [], None
    while True:
        page = await broker.listing.dead([queue], cursor=cursor, limit=2)
        shown += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [letter.id for letter in shown] == ids[::-1]
    assert [letter.reason for letter in shown] == [f"reason {at}" for at in (4, 3, 2, 1, 0)]
    assert all(letter.error == ERROR and letter.fingerprint == "f00d" and letter.attempts == 1 for letter in shown)


def forged(*values: object) -> str:
    """Return a cursor that was made by hand in the right form."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(values)).rstrip(b"=").decode()


TAG = "default/email.send/00"
FORGERIES = [
    "x",
    "AAAA",
    "é",
    "=",
    " ",
    "\x00",
    "a" * 5000,
    forged(),
    forged(TAG),
    forged(TAG, 0),
    forged(TAG, "0", ""),
    forged(TAG, 0, "", "more"),
    forged(TAG, 0, None),
    forged(TAG, 1.5, ""),
    forged("", 0, ""),
    forged("no tag", 0, ""),
    forged("a/b/zz", 0, ""),
    forged("a/b/c/d", 0, ""),
    *(forged(TAG, 0, after) for after in ("x", "(1-1", "1", "-", "+", "$", ">", "1-1-1", "1:x", "٣-٣", "1 - 1")),
    *(forged(TAG, 0, after) for after in ("9" * 40 + "-0", "1-" + "9" * 40, "-1-1")),
    *(forged(TAG, 3, after) for after in ("x", "(1:0", "5-5", "1", ":", "nan:x", "1:", "1:a b", "1e5:x", "-1:x")),
    forged(TAG, 4, "5:5"),
]


@pytest.mark.parametrize("state", LISTABLE_STATES)
@pytest.mark.parametrize("cursor", FORGERIES, ids=range(len(FORGERIES)))
async def test_a_forged_cursor_is_refused(broker: Broker, queue: Queue, state: JobState, cursor: str) -> None:
    """A forged cursor raises CursorError or returns a page, and causes no other error."""
    await broker.store.enqueue(queue, [new_job(queue), new_job(queue, delay_ms=FAR_MS)])
    try:
        page = await broker.listing.jobs([queue], state, cursor=cursor, limit=1)
    except CursorError:
        return
    assert len(page.items) <= 1


@given(st.text(max_size=40) | st.builds(forged, st.just(TAG), st.integers(-5, 9), st.text(max_size=12)))
def test_decoding_a_cursor_fails_in_one_way(text: str) -> None:
    """Any text decodes to a cursor or raises CursorError."""
    try:
        cursor = Cursor.decode(text)
    except CursorError:
        return
    assert Cursor.decode(cursor.encode()) == cursor


async def test_a_cursor_of_a_queue_that_is_gone_goes_on_behind_it(broker: Broker, queue: Queue) -> None:
    """A list continues with the queues after that of its cursor, also when that queue is gone."""
    (job_id,) = await seed(broker, queue)
    before, after = forged("default/email/00", 0, ""), forged("default/f/00", 0, "")
    assert [job.id for job in (await broker.listing.jobs([queue], JobState.QUEUED, cursor=before, limit=5)).items] == [
        job_id
    ]
    assert (await broker.listing.jobs([queue], JobState.QUEUED, cursor=after, limit=5)).items == []
