"""The event trimmer and the sweeper remove what a reaper need not keep."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from scripts_seen import ScriptsSeen
from streams.seeds import seed, seed_running, seed_worker, take_one
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, ServiceInfo, WorkerInfo
from millstream_reaper.event_trimmer import SKIPPED_INTERVALS, EventTrimmer
from millstream_reaper.service import duties_of
from millstream_reaper.settings import ReaperSettings
from millstream_reaper.sweeper import Sweeper
from millstream_runtime import Duty
from millstream_streams import LIVE_KEPT_S, Broker, JobStore, QueueScripts
from millstream_telemetry import JobTracer, MetricRegistry, ReaperMetrics


def trimmer(broker: Broker, metrics: MetricRegistry, keep: int, cap: int) -> EventTrimmer:
    """Return a trimmer."""
    return EventTrimmer(broker.store, broker.registry, ReaperMetrics(metrics), keep=keep, cap=cap, interval_s=10.0)


def sweeper(broker: Broker, consumer_idle_s: float = 0.0, worker_silent_s: float = 60.0) -> Sweeper:
    """Return a sweeper."""
    return Sweeper(
        broker.store,
        broker.registry,
        consumer_idle_s=consumer_idle_s,
        worker_silent_s=worker_silent_s,
        interval_s=60.0,
    )


async def fill_events(broker: Broker, queue: Queue, count: int, *, are_old: bool = False) -> None:
    """Write events straight into a stream, which is trimmed by whole nodes of a hundred.

    Old ones are older than any time for which events are kept.
    """
    pipeline = broker.client.pipeline(transaction=False)
    for number in range(1, count + 1):
        fields = {"kind": "submitted", "at": 1, "worker": "", "jobs": b"\x90"}
        pipeline.xadd(broker.keys.of(queue).events, fields, id=f"{number}-0" if are_old else "*")
    await pipeline.execute()


async def test_trimmer_trims_every_queue(broker: Broker, metrics: MetricRegistry, queues: list[Queue]) -> None:
    """Events that every consumer group has seen are trimmed in every queue, and count as no loss."""
    for queue in queues:
        await fill_events(broker, queue, 500)
    found = await trimmer(broker, metrics, keep=100, cap=10_000).run_once()
    left = [await broker.client.xlen(broker.keys.of(queue).events) for queue in queues]
    assert found.removed + sum(left) == 1500
    assert all(100 <= count < 300 for count in left)
    assert found.lost == 0
    assert metrics.get_sample_value("millstream_events_lost_total") == 0


async def test_trimmer_keeps_what_clients_may_still_ask_for(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Events of the last `kept_s` stay for live clients although every group has seen them; older ones are trimmed."""
    await fill_events(broker, queues[0], 500)
    await fill_events(broker, queues[1], 500, are_old=True)
    duty = EventTrimmer(
        broker.store, broker.registry, ReaperMetrics(metrics), keep=100, cap=10_000, interval_s=10.0, kept_s=3600.0
    )
    await duty.run_once()
    assert await broker.client.xlen(broker.keys.of(queues[0]).events) == 500
    assert await broker.client.xlen(broker.keys.of(queues[1]).events) < 300
    kept_s = next(duty for duty in reaper_duties(broker, metrics) if isinstance(duty, EventTrimmer))._kept_s
    assert kept_s == LIVE_KEPT_S > 0


def reaper_duties(broker: Broker, metrics: MetricRegistry) -> list[Duty]:
    """Return the duties of a reaper with the usual settings."""
    return duties_of(ReaperSettings(), broker, ReaperMetrics(metrics), JobTracer(None))


def test_an_idle_stream_is_trimmed_half_as_often() -> None:
    """An idle stream is skipped for twice the interval, as the setting says, so that it does not grow without end."""
    assert SKIPPED_INTERVALS == 2


async def test_trimmer_counts_what_nobody_had_seen(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Events that are trimmed unseen at the cap are counted as lost."""
    await fill_events(broker, queues[0], 1000)
    await broker.client.xgroup_create(broker.keys.of(queues[0]).events, "history", "0")
    found = await trimmer(broker, metrics, keep=0, cap=300).run_once()
    left = await broker.client.xlen(broker.keys.of(queues[0]).events)
    assert (found.removed, found.lost) == (0, 1000 - left)
    assert metrics.get_sample_value("millstream_events_lost_total") == found.lost > 0


async def test_trimmer_counts_each_loss_once_and_says_where_it_was(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Metrics, pass and streams agree on the number of lost events, and the log names their queue."""
    for queue, count in ((queues[0], 1000), (queues[2], 700)):
        await fill_events(broker, queue, count)
        await broker.client.xgroup_create(broker.keys.of(queue).events, "history", "0")
    with structlog.testing.capture_logs() as lines:
        found = await trimmer(broker, metrics, keep=0, cap=300).run_once()
    left = [await broker.client.xlen(broker.keys.of(queue).events) for queue in (queues[0], queues[2])]
    assert found.lost == 1700 - sum(left)
    assert metrics.get_sample_value("millstream_events_lost_total") == found.lost
    assert [(line["event"], line["log_level"], line["type"], line["entries"], line["cap"]) for line in lines] == [
        ("events lost", "error", "email.send", 1000 - left[0], 300),
        ("events lost", "error", "report", 700 - left[1], 300),
    ]


async def test_trimmer_leaves_a_stream_alone_for_a_number_of_its_own_intervals(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """With an interval of 0 no stream is skipped."""
    seen = ScriptsSeen()
    store = JobStore(QueueScripts(broker.client, broker.keys, observer=seen))
    duty = EventTrimmer(store, broker.registry, ReaperMetrics(metrics), keep=100, cap=300, interval_s=0.0)
    for _ in range(2):
        await duty.run_once()
        assert seen.take() == {"trim_events": 3}


@pytest.fixture
async def _tiny_nodes(broker: Broker) -> AsyncIterator[None]:
    """Give each entry a stream node of its own, so that a call of XTRIM frees a hundred."""
    name = "stream-node-max-entries"
    before = (await broker.client.config_get(name))[name]
    await broker.client.config_set(name, 1)
    yield
    await broker.client.config_set(name, before)


@pytest.mark.usefixtures("_tiny_nodes")
async def test_trimmer_goes_on_until_nothing_is_left_to_trim(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A pass repeats its bounded call until nothing is left to trim."""
    await fill_events(broker, queues[0], 550)
    found = await trimmer(broker, metrics, keep=10, cap=10_000).run_once()
    assert (found.removed, found.lost) == (540, 0)
    assert await broker.client.xlen(broker.keys.of(queues[0]).events) == 10


async def test_trimmer_leaves_a_stream_alone_that_had_nothing_to_trim(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A stream that had nothing to trim is skipped for some passes, and one that grows is trimmed in each."""
    seen = ScriptsSeen()
    store = JobStore(QueueScripts(broker.client, broker.keys, observer=seen))
    duty = EventTrimmer(store, broker.registry, ReaperMetrics(metrics), keep=100, cap=300, interval_s=10.0)
    await fill_events(broker, queues[0], 500)
    await fill_events(broker, queues[1], 1000)
    await broker.client.xgroup_create(broker.keys.of(queues[1]).events, "history", "0")
    found = await duty.run_once()
    assert found.removed
    assert found.lost
    # Once more for each that had something, to see that there is no more.
    assert seen.take() == {"trim_events": 5}
    await duty.run_once()
    assert seen.take() == {"trim_events": 2}
    await duty.run_once()
    assert seen.take() == {}


def worker(name: str) -> WorkerInfo:
    """Return a worker whose own clock is an hour late."""
    late = datetime.now(UTC) - timedelta(hours=1)
    return WorkerInfo(name=name, types=["report"], concurrency=1, started_at=late, seen_at=late)


async def test_sweeper_takes_silent_workers_off_the_list(broker: Broker, queues: list[Queue]) -> None:
    """A silent worker is taken off the list, and a live one stays, whatever its clock says."""
    await seed_worker(broker, worker("gone"), silent_s=61)
    await seed_worker(broker, worker("alive"), silent_s=5)
    assert (await sweeper(broker).run_once()).workers == 1
    assert [one.name for one in await broker.registry.workers()] == ["alive"]


async def test_sweeper_removes_empty_consumers_on_every_queue(broker: Broker, queues: list[Queue]) -> None:
    """Idle consumers without entries are removed in every queue, and those that hold a job stay."""
    for queue in queues:
        await seed(broker, queue)
        await take_one(broker, queue, "holds")
        await seed(broker, queue)
        gone = await take_one(broker, queue, "gone")
        await broker.store.hand_back(queue, worker="gone", deliveries=[gone])
    found = await sweeper(broker).run_once()
    assert found.consumers >= 3
    for queue in queues:
        rows = await broker.client.xinfo_consumers(broker.keys.of(queue).ready[1], "workers")
        assert [(row["name"], row["pending"]) for row in rows] == [(b"holds", 1)]
        assert len((await broker.store.recover(queue, lease_ms=0, max_crashes=3)).requeued) == 1


async def test_sweeper_leaves_consumers_that_were_seen_lately(broker: Broker, queues: list[Queue]) -> None:
    """A consumer that was seen lately stays."""
    await seed(broker, queues[0])
    delivery = await take_one(broker, queues[0], "idle")
    await broker.store.hand_back(queues[0], worker="idle", deliveries=[delivery])
    assert (await sweeper(broker, consumer_idle_s=3600.0).run_once()).consumers == 0


async def test_sweeper_measures_silence_in_seconds(broker: Broker, queues: list[Queue]) -> None:
    """The bound on the silence of a consumer is in seconds."""
    await seed(broker, queues[0])
    delivery = await take_one(broker, queues[0], "idle")
    await broker.store.hand_back(queues[0], worker="idle", deliveries=[delivery])

    async def idle_ms() -> int:
        rows = await broker.client.xinfo_consumers(broker.keys.of(queues[0]).ready[1], "workers")
        return min(row["idle"] for row in rows)

    async def has_been_idle() -> bool:
        return await idle_ms() > 100

    await wait_until(has_been_idle, "the consumer has been idle for a tenth of a second")
    assert (await sweeper(broker, consumer_idle_s=60.0).run_once()).consumers == 0
    assert (await sweeper(broker, consumer_idle_s=0.1).run_once()).consumers == 1


async def test_sweeper_says_which_worker_is_gone(broker: Broker, queues: list[Queue]) -> None:
    """The log names each worker that is taken off the list."""
    await seed_worker(broker, worker("gone"), silent_s=61)
    with structlog.testing.capture_logs() as lines:
        await sweeper(broker).run_once()
    assert [(line["event"], line["log_level"], line["worker"]) for line in lines] == [
        ("worker is gone", "warning", "gone")
    ]


async def test_each_bound_of_the_settings_reaches_the_duty_that_it_is_meant_for(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Each bound of the settings reaches its own duty: silence, idleness, events kept and their cap."""
    settings = ReaperSettings(
        redis_url="redis://127.0.0.1",
        events_kept=600,
        consumer_idle_s=3600.0,
        worker_silent_s=10.0,
    )
    made = duties_of(settings, broker, ReaperMetrics(metrics), JobTracer(None), events_kept_unread=100)
    duties: dict[str, Any] = {duty.name: duty for duty in made}
    await seed_worker(broker, worker("gone"), silent_s=11)
    held = await seed_running(broker, queues[0], "idle")
    await broker.store.hand_back(queues[0], worker="idle", deliveries=[held])
    swept = await duties["sweeper"].run_once()
    assert (swept.workers, swept.consumers) == (1, 0)
    await fill_events(broker, queues[1], 1000, are_old=True)
    await fill_events(broker, queues[2], 1000)
    await broker.client.xgroup_create(broker.keys.of(queues[2]).events, "history", "0")
    await duties["event-trimmer"].run_once()
    left = [await broker.client.xlen(broker.keys.of(queue).events) for queue in queues[1:]]
    assert 100 <= left[0] < 300
    assert 600 <= left[1] < 800


@pytest.mark.parametrize("name", ["recoverer", "event-trimmer", "sweeper"])
async def test_a_duty_does_nothing_on_queues_that_were_never_used(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue], name: str
) -> None:
    """A pass over queues that were never used makes no key."""
    settings = ReaperSettings(redis_url="redis://127.0.0.1", lease_s=0.0)
    (duty,) = [one for one in duties_of(settings, broker, ReaperMetrics(metrics), JobTracer(None)) if one.name == name]
    before = sorted(await broker.client.keys(f"{broker.keys.namespace}:*"))
    await duty.run_once()
    assert sorted(await broker.client.keys(f"{broker.keys.namespace}:*")) == before


@pytest.mark.parametrize("name", ["event-trimmer", "sweeper"])
async def test_a_queue_that_is_broken_does_not_keep_a_duty_from_the_others(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue], name: str
) -> None:
    """A broken queue fails the pass, and the work on the others is done."""
    broken = Queue(DEFAULT_TENANT, JobType("a.broken.one"))
    keys = broker.keys.of(broken)
    await broker.registry.add_queues([broken])
    for key in (keys.events, keys.ready[0]):
        await broker.client.set(key, "of the wrong type")
    await fill_events(broker, queues[2], 500)
    held = await seed_running(broker, queues[0], "empty")
    await broker.store.hand_back(queues[0], worker="empty", deliveries=[held])
    settings = ReaperSettings(redis_url="redis://127.0.0.1", events_kept=100, consumer_idle_s=0.0)
    (duty,) = [one for one in duties_of(settings, broker, ReaperMetrics(metrics), JobTracer(None)) if one.name == name]
    # What no consumer can be in is nothing to complain of.
    with nullcontext() if name == "sweeper" else pytest.raises(Exception, match="WRONGTYPE"):
        await duty.run_once()
    done = {
        "event-trimmer": await broker.client.xlen(broker.keys.of(queues[2]).events) < 500,
        "sweeper": not await broker.client.xinfo_consumers(broker.keys.of(queues[0]).ready[1], "workers"),
    }
    assert done[name]
    await broker.client.delete(keys.events, keys.ready[0])


async def test_the_list_of_duties_tells_what_a_reaper_does(broker: Broker, metrics: MetricRegistry) -> None:
    """A reaper has the listed duties, each at its own interval."""
    settings = ReaperSettings(redis_url="redis://127.0.0.1", interval_s=1.0, trim_every_s=3.0)
    duties = duties_of(settings, broker, ReaperMetrics(metrics), JobTracer(None))
    assert {duty.name: duty.interval_s for duty in duties} == {
        "recoverer": 1.0,
        "event-trimmer": 3.0,
        "sweeper": 60.0,
    }


async def test_sweeper_forgets_processes_of_services_that_are_silent(broker: Broker) -> None:
    """A silent process is taken off the list of services after the time that counts for workers."""
    now = datetime.now(UTC)
    gone = ServiceInfo(name="h:1:a", service="ingest", version="1", started_at=now, sent_at=now, seen_at=now)
    await broker.registry.note_service(gone)
    at_ms, _, blob = (await broker.client.hget(broker.keys.services, gone.name)).partition(b" ")
    await broker.client.hset(broker.keys.services, gone.name, b"%d %s" % (int(at_ms) - 11_000, blob))
    await sweeper(broker, worker_silent_s=60.0).run_once()
    assert len(await broker.registry.services()) == 1
    await sweeper(broker, worker_silent_s=10.0).run_once()
    assert await broker.registry.services() == []
