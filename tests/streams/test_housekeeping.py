"""trim_events.lua and sweep_consumers.lua remove what is no longer needed, and nothing else."""

import pytest
from streams.seeds import kinds, recover_all, seed, seed_running, take, take_one

from millstream_contracts import Priority, Queue
from millstream_streams import HISTORY_GROUP, Broker, Gap

MANY = 10_000


async def fill_events(broker: Broker, queue: Queue, count: int) -> list[bytes]:
    """Write events straight into the stream, and return their entry ids. Trimming works by whole nodes of a hundred."""
    events = broker.keys.of(queue).events
    pipeline = broker.client.pipeline(transaction=False)
    for _ in range(count):
        pipeline.xadd(events, {"kind": "submitted", "state": "queued", "at": 1, "worker": "", "jobs": b"\x90"})
    return await pipeline.execute()


async def test_trim_events_keeps_some_for_live_followers_when_no_group_reads(broker: Broker, queue: Queue) -> None:
    """Without a consumer group the newest events are kept and the others are removed."""
    await fill_events(broker, queue, 1000)
    removed, lost = await broker.store.trim_events(queue, keep=200, cap=MANY)
    left = await broker.client.xlen(broker.keys.of(queue).events)
    assert (removed + left, lost) == (1000, 0)
    assert 200 <= left < 400


async def test_trim_events_removes_what_every_group_has_acknowledged(broker: Broker, queue: Queue) -> None:
    """Only events that every group has acknowledged are removed."""
    events = broker.keys.of(queue).events
    entries = await fill_events(broker, queue, 1000)
    for group in ("history", "webhooks"):
        await broker.client.xgroup_create(events, group, "0")
    await broker.client.xreadgroup("history", "h", {events: ">"}, count=1000)
    await broker.client.xreadgroup("webhooks", "w", {events: ">"}, count=600)
    await broker.client.xack(events, "webhooks", *entries[:600])
    await broker.client.xack(events, "history", *entries[:450], *entries[500:])
    removed, lost = await broker.store.trim_events(queue, keep=0, cap=MANY)
    ((oldest, _),) = await broker.client.xrange(events, count=1)
    assert lost == 0
    assert 300 <= removed <= 450
    assert entries.index(oldest) <= 450


@pytest.mark.parametrize("form", ["{}-0", "1-{}"])
@pytest.mark.parametrize("names", [("history", "webhooks"), ("webhooks", "history")])
async def test_trim_events_compares_ids_as_numbers(
    broker: Broker, queue: Queue, form: str, names: tuple[str, str]
) -> None:
    """Entry ids are compared as numbers, in both parts: 900 comes before 1000."""
    slow, fast = names
    events = broker.keys.of(queue).events
    pipeline = broker.client.pipeline(transaction=False)
    for number in range(1, 1201):
        pipeline.xadd(events, {"jobs": b"\x90", "state": "queued"}, id=form.format(number))
    await pipeline.execute()
    await broker.client.xgroup_create(events, slow, form.format(900))
    await broker.client.xgroup_create(events, fast, form.format(1000))
    removed, _ = await broker.store.trim_events(queue, keep=0, cap=MANY)
    assert 700 <= removed < 900


async def test_trim_events_keeps_all_for_a_group_that_has_read_nothing(broker: Broker, queue: Queue) -> None:
    """All events are kept for a group that has read nothing yet."""
    await fill_events(broker, queue, 500)
    await broker.client.xgroup_create(broker.keys.of(queue).events, "history", "0")
    assert await broker.store.trim_events(queue, keep=0, cap=MANY) == (0, 0)


async def test_trim_events_counts_what_nobody_had_seen_when_the_cap_is_met(broker: Broker, queue: Queue) -> None:
    """At the cap the oldest events are removed even unread, and the unread ones are counted."""
    await fill_events(broker, queue, 1000)
    await broker.client.xgroup_create(broker.keys.of(queue).events, "history", "0")
    removed, lost = await broker.store.trim_events(queue, keep=0, cap=300)
    left = await broker.client.xlen(broker.keys.of(queue).events)
    assert (removed, lost + left) == (0, 1000)
    assert 300 <= left < 500


async def test_trim_events_does_nothing_when_the_queue_was_never_used(broker: Broker, queue: Queue) -> None:
    """A call on a queue that was never used trims nothing and makes no stream."""
    assert await broker.store.trim_events(queue, keep=0, cap=0) == (0, 0)
    assert await kinds(broker, queue) == []
    assert not await broker.client.exists(broker.keys.of(queue).events)


async def gap_of(broker: Broker, queue: Queue) -> Gap | None:
    """Return the gap of a queue."""
    return (await broker.stored_jobs.gaps([queue])).get(queue)


async def test_trim_events_notes_what_the_history_has_not_seen(broker: Broker, queue: Queue) -> None:
    """Entries that are removed before the history has seen them are noted as a gap, which grows with each loss."""
    events = broker.keys.of(queue).events
    entries = await fill_events(broker, queue, 1000)
    await broker.client.xgroup_create(events, HISTORY_GROUP, entries[99])
    await broker.store.trim_events(queue, keep=0, cap=300)
    gap = await gap_of(broker, queue)
    left = (await broker.client.xrange(events, count=1))[0][0].decode()
    assert gap == Gap(entries[99].decode(), left)
    assert gap.first_ms <= gap.last_ms
    await fill_events(broker, queue, 1000)
    await broker.store.trim_events(queue, keep=0, cap=300)
    grown = await gap_of(broker, queue)
    assert grown is not None
    assert grown.first == gap.first
    assert int(grown.last.partition("-")[0]) >= gap.last_ms


async def test_trim_events_notes_no_gap_of_what_the_history_has_seen(broker: Broker, queue: Queue) -> None:
    """What only another group has not seen, or what no group reads, is no gap of the history."""
    events = broker.keys.of(queue).events
    entries = await fill_events(broker, queue, 1000)
    await broker.client.xgroup_create(events, "webhooks", "0")
    await broker.store.trim_events(queue, keep=0, cap=500)
    assert await gap_of(broker, queue) is None
    await broker.client.xgroup_create(events, HISTORY_GROUP, entries[-1])
    assert (await broker.store.trim_events(queue, keep=0, cap=200))[1] > 0
    assert await gap_of(broker, queue) is None


async def test_close_gap_forgets_a_gap_and_leaves_what_was_lost_since(broker: Broker, queue: Queue) -> None:
    """A gap is forgotten as it was read; what was lost after that is the gap then."""
    await broker.client.xgroup_create(broker.keys.of(queue).events, HISTORY_GROUP, "0", mkstream=True)
    gaps = []
    for _ in range(2):
        await fill_events(broker, queue, 1000)
        await broker.store.trim_events(queue, keep=0, cap=300)
        gaps.append(await gap_of(broker, queue))
    first, second = gaps
    assert first is not None
    assert second is not None
    assert not await broker.store.close_gap(queue, first.last)
    assert await gap_of(broker, queue) == Gap(first.last, second.last)
    assert await broker.store.close_gap(queue, second.last)
    assert await gap_of(broker, queue) is None
    assert await broker.store.close_gap(queue, second.last)


async def consumers(broker: Broker, queue: Queue) -> set[str]:
    """Return the consumers of all ready streams."""
    found = set()
    for stream in broker.keys.of(queue).ready:
        if await broker.client.exists(stream) and await broker.client.xinfo_groups(stream):
            found |= {row["name"].decode() for row in await broker.client.xinfo_consumers(stream, "workers")}
    return found


async def test_sweep_consumers_removes_those_that_hold_nothing(broker: Broker, queue: Queue) -> None:
    """An idle consumer without pending entries is removed."""
    await seed(broker, queue)
    running = await take_one(broker, queue, "busy")
    await seed(broker, queue)
    gone = await take_one(broker, queue, "gone")
    await broker.store.hand_back(queue, worker="gone", deliveries=[gone])
    assert await broker.store.sweep_consumers(queue, idle_ms=0) >= 1
    assert await consumers(broker, queue) == {"busy"}
    assert await broker.store.sweep_consumers(queue, idle_ms=0) == 0
    assert [one.id for one in (running,)] == await recover_all(broker, queue)


@pytest.mark.parametrize("consumers", [1, 2])
@pytest.mark.parametrize("place", [*Priority, "events"])
async def test_sweep_consumers_looks_at_every_stream_and_at_every_consumer(
    broker: Broker, queue: Queue, place: str, consumers: int
) -> None:
    """Idle consumers of every priority and of the events are removed, and no others."""
    keys = broker.keys.of(queue)
    streams = {**dict(zip(Priority, keys.ready, strict=True)), "events": keys.events}
    for stream in streams.values():
        await broker.client.xgroup_create(stream, "workers", "0", mkstream=True)
    for number in range(consumers):
        await broker.client.xgroup_createconsumer(streams[place], "workers", f"gone-{number}")
    assert await broker.store.sweep_consumers(queue, idle_ms=0) == consumers
    assert await broker.client.xinfo_consumers(streams[place], "workers") == []


async def test_sweep_consumers_keeps_one_that_was_seen_lately(broker: Broker, queue: Queue) -> None:
    """A consumer that was seen lately is kept."""
    await seed(broker, queue)
    delivery = await take_one(broker, queue, "idle")
    await broker.store.hand_back(queue, worker="idle", deliveries=[delivery])
    assert await broker.store.sweep_consumers(queue, idle_ms=3_600_000) == 0
    assert "idle" in await consumers(broker, queue)


async def test_sweep_consumers_loses_no_job(broker: Broker, queue: Queue) -> None:
    """A consumer with pending entries is kept however long it is silent, because its removal would drop them."""
    running = await seed_running(broker, queue, "silent")
    await broker.store.sweep_consumers(queue, idle_ms=0)
    assert await recover_all(broker, queue) == [running.id]


async def test_sweep_consumers_does_a_living_worker_no_harm(broker: Broker, queue: Queue) -> None:
    """The next claim of a worker makes its removed consumer anew."""
    await seed(broker, queue)
    await take(broker, queue, "w1")
    await recover_all(broker, queue)
    await broker.store.sweep_consumers(queue, idle_ms=0)
    assert len(await take(broker, queue, "w1")) == 1


async def test_sweep_consumers_does_nothing_when_the_queue_was_never_used(broker: Broker, queue: Queue) -> None:
    """A call on a queue that was never used removes nothing."""
    assert await broker.store.sweep_consumers(queue, idle_ms=0) == 0


async def test_sweep_consumers_removes_those_of_every_group_that_follows_events(broker: Broker, queue: Queue) -> None:
    """Idle consumers of every event group are removed, except those that still hold events."""
    events = broker.keys.of(queue).events
    await seed(broker, queue)
    for group in ("history", "webhooks"):
        await broker.client.xgroup_create(events, group, "0")
        await broker.client.xgroup_createconsumer(events, group, "gone")
    await broker.client.xreadgroup("history", "silent", {events: ">"})
    assert await broker.store.sweep_consumers(queue, idle_ms=3_600_000) == 0
    assert await broker.store.sweep_consumers(queue, idle_ms=0) == 2
    left = await broker.client.xinfo_consumers(events, "history")
    assert [(row["name"], row["pending"]) for row in left] == [(b"silent", 1)]


async def test_trim_events_keeps_young_events_although_every_group_has_seen_them(broker: Broker, queue: Queue) -> None:
    """Acknowledged events stay for `kept_s`, for clients that resume; without a group too."""
    events = broker.keys.of(queue).events
    pipeline = broker.client.pipeline(transaction=False)
    for number in range(1, 501):
        pipeline.xadd(events, {"jobs": b"\x90", "state": "queued"}, id=f"{number}-0")
    await pipeline.execute()
    await fill_events(broker, queue, 500)
    for group in ("history", "webhooks"):
        await broker.store.trim_events(queue, keep=0, cap=MANY, kept_s=60.0)
        assert 500 <= await broker.client.xlen(events) < 700
        await broker.client.xgroup_create(events, group, "$")
    await broker.store.trim_events(queue, keep=0, cap=MANY)
    assert await broker.client.xlen(events) < 300


async def test_trim_events_keeps_no_more_than_the_cap_of_young_events(broker: Broker, queue: Queue) -> None:
    """The cap goes before the time for which events are kept."""
    await fill_events(broker, queue, 1000)
    await broker.store.trim_events(queue, keep=0, cap=300, kept_s=60.0)
    assert await broker.client.xlen(broker.keys.of(queue).events) < 500
