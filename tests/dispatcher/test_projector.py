"""The projector stores each transition of a job once in the history database, whatever fails on the way."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import pytest
import structlog
from history_databases import execute, query
from streams.audit import audit
from streams.seeds import ERROR, commit, new_job, seed, seed_dead, seed_running, take
from topologies.postgres import find_postgres, local_postgres
from waiting import wait_until

from millstream_contracts import (
    Event,
    EventKind,
    JobTransition,
    JobType,
    Queue,
    QueueEvents,
    Succeeded,
    Tenant,
    TypePolicy,
    TypeRegistration,
    WorkerInfo,
    new_job_id,
)
from millstream_dispatcher import event_reader
from millstream_dispatcher import projector as module
from millstream_dispatcher.assembly import open_projector
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.projector import GROUP, Projector
from millstream_dispatcher.promoter import Promoter
from millstream_history import HistoryError, HistorySchemaError, HistoryUnavailableError, migrate, open_history
from millstream_runtime import Duty, DutyRunner
from millstream_streams import Broker, EventFeed, StoreUnavailableError, consumer_name
from millstream_streams.reading.snapshots import Snapshots
from millstream_telemetry import DispatcherMetrics, DutyMetrics, HistoryMetrics, MetricRegistry

STATES = "SELECT id, state, version FROM jobs ORDER BY id"
KINDS = "SELECT job_id, kind FROM transitions ORDER BY job_id, version"


@asynccontextmanager
async def projector_of(url: str, broker: Broker, metrics: MetricRegistry) -> AsyncIterator[Projector]:
    """Yield a projector for the database at this address."""
    async with open_history(url) as history, open_projector(history, broker, HistoryMetrics(metrics)) as duty:
        yield duty


async def until_stored(projector: Projector, moves: int) -> None:
    """Run passes until this many transitions are stored."""
    stored = 0

    async def are_stored() -> bool:
        nonlocal stored
        stored += (await projector.run_once()).stored
        return stored >= moves

    await wait_until(are_stored, f"{moves} moves are stored")


async def held(broker: Broker, queue: Queue) -> int:
    """Return how many entries were read and not acknowledged."""
    return (await broker.client.xpending(broker.keys.of(queue).events, GROUP))["pending"]


def lag(metrics: MetricRegistry) -> float:
    """Return the value of the lag gauge."""
    value = metrics.get_sample_value("millstream_history_lag_seconds")
    assert value is not None
    return value


async def test_all_that_happened_to_a_job_is_stored(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """The projector stores the state of a job and each transition, and acknowledges their events."""
    done = await seed_running(broker, queues[0])
    await commit(broker, done, Succeeded())
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 3)
    assert await query(history_url, STATES) == [(done.id, "succeeded", 3)]
    assert [kind for _, kind in await query(history_url, KINDS)] == ["submitted", "started", "succeeded"]
    assert await held(broker, queues[0]) == 0


async def test_who_has_submitted_a_job_is_stored_with_it(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """A job is stored with its owner, also when it goes on later, and one of which that is not known without."""
    [own], [other] = await seed(broker, queues[0], owner="7Kq2vXbA"), await seed(broker, queues[0])
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 2)
        for delivery in await take(broker, queues[0]):
            await commit(broker, delivery, Succeeded())
        await until_stored(projector, 4)
    stored = dict(await query(history_url, "SELECT id, submitted_by FROM jobs WHERE state = 'succeeded'"))
    assert stored == {own: "7Kq2vXbA", other: None}


async def test_the_release_of_a_worker_is_stored_with_it(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """A worker is stored with the release of its heartbeat; one that has none, without."""
    now = datetime.now(UTC)
    await broker.registry.beat(
        WorkerInfo(name="w1", types=["a"], concurrency=1, started_at=now, seen_at=now, version="1.4.0")
    )
    for worker in ("w1", "w2"):
        await seed_running(broker, queues[0], worker)
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 4)
    stored = await query(history_url, "SELECT worker, release FROM worker_spans ORDER BY worker")
    assert stored == [("w1", "1.4.0"), ("w2", None)]


async def test_jobs_of_every_queue_are_stored(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """The projector stores jobs of every queue, also of one that was registered after the start."""
    ids = [(await seed(broker, queue))[0] for queue in queues[:2]]
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 2)
        new = Queue(queues[0].tenant, queues[0].type, 9)
        await broker.registry.add_queues([new])
        ids += await seed(broker, new)
        await until_stored(projector, 1)
    assert {row[0] for row in await query(history_url, STATES)} == set(ids)
    await audit(broker, new)


async def test_what_is_stored_of_a_type_is_what_its_registration_says(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """A type whose history keeps nothing is stored from the moment on in which a worker registers that it does not."""
    queue = queues[0]
    policies = [TypePolicy(keeps="nothing"), TypePolicy(keeps="no_payload")]
    for policy, count in zip(policies, (0, 1), strict=True):
        await broker.registry.add_types(queue.tenant, [TypeRegistration(type=queue.type, policy=policy)])
        [job_id] = await seed(broker, queue, payload={"to": "ann"})
        async with projector_of(history_url, broker, metrics) as projector:
            await until_stored(projector, 1)
        assert [row[0] for row in await query(history_url, STATES)] == [job_id] * count
        assert await held(broker, queue) == 0
    assert await query(history_url, "SELECT payload FROM jobs") == [(None,)]


async def test_a_dead_job_is_stored_with_its_error(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """A dead job is stored with its error."""
    await seed_dead(broker, queues[0])
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 3)
    said = "SELECT state, reason, error ->> 'message' FROM jobs"
    assert await query(history_url, said) == [("dead", "attempts", ERROR.message)]


async def test_more_than_fits_one_transaction_is_stored_in_several(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """Events beyond one transaction are stored in several, in the right order."""
    ids = [job_id for _ in range(5) for job_id in await seed(broker, queues[0], 100)]
    deliveries = [one for _ in range(5) for one in await take(broker, queues[0], limit=100)]
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 2 * len(ids))
    assert await query(history_url, STATES) == [(job_id, "running", 2) for job_id in sorted(ids)]
    assert len(await query(history_url, KINDS)) == 2 * len(ids)
    assert len(deliveries) == len(ids)


async def test_large_payloads_make_transactions_small_again(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large payloads reduce the size of the next transactions, which bounds the memory."""
    monkeypatch.setattr(module, "LARGE_BYTES", 200_000)
    monkeypatch.setattr(module, "SMALL_BYTES", 100_000)
    async with projector_of(history_url, broker, metrics) as projector:
        await seed(broker, queues[0], 100)
        await until_stored(projector, 100)
        assert projector._moves_at_once == 2 * module.FEWEST_MOVES_AT_ONCE
        await broker.store.enqueue(queues[0], [new_job(queues[0], "x" * 5_000) for _ in range(50)])
        await until_stored(projector, 50)
        assert projector._moves_at_once == module.FEWEST_MOVES_AT_ONCE


async def test_what_a_dead_dispatcher_held_is_stored_by_another(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that a dispatcher read and did not acknowledge are stored by another after ABANDONED_S."""
    monkeypatch.setattr(event_reader, "ABANDONED_S", 0.0)
    ids = [(await seed(broker, queue))[0] for queue in queues]
    await read_by_another(broker, queues)
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 3)
    assert await query(history_url, STATES) == [(job_id, "queued", 1) for job_id in sorted(ids)]
    assert [await held(broker, queue) for queue in queues] == [0, 0, 0]


async def read_by_another(broker: Broker, queues: list[Queue]) -> None:
    """Let another consumer read the events of these queues, and acknowledge none."""
    async with aclosing(broker.feed(group=GROUP, consumer="another")) as another:
        for queue in queues:
            await wait_until(partial(another.read, [queue], entries=10), "the other one has read it")


async def test_a_job_is_read_once_for_events_that_tell_nothing_newer(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose last state was stored with its first event is not read again for the others, which are stored too."""
    monkeypatch.setattr(module, "FEWEST_MOVES_AT_ONCE", 1)
    monkeypatch.setattr(module, "MOST_MOVES_AT_ONCE", 1)
    done, runs = await seed_running(broker, queues[0]), await seed_running(broker, queues[1])
    await commit(broker, done, Succeeded())
    async with watched(history_url, broker, metrics) as (projector, feed):
        await until_stored(projector, 5)
        assert sorted(feed.jobs) == sorted([done.id, runs.id])
        # What is newer than that is read.
        await commit(broker, runs, Succeeded())
        await until_stored(projector, 1)
        assert feed.jobs[2:] == [runs.id]
    assert await query(history_url, STATES) == sorted([(one.id, "succeeded", 3) for one in (done, runs)])
    assert Counter(kind for _, kind in await query(history_url, KINDS)) == {
        "submitted": 2, "started": 2, "succeeded": 2
    }  # fmt: skip


async def test_a_database_that_failed_may_lack_what_was_stored(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure the state of a job is stored again with its next event: the database may be one of last week."""
    monkeypatch.setattr(module, "FEWEST_MOVES_AT_ONCE", 1)
    monkeypatch.setattr(module, "MOST_MOVES_AT_ONCE", 1)
    done = await seed_running(broker, queues[0])
    await commit(broker, done, Succeeded())
    async with projector_of(history_url, broker, metrics) as projector:
        await until_stored(projector, 1)
        await execute(history_url, "TRUNCATE jobs, transitions; ALTER TABLE transitions RENAME TO lost")
        with pytest.raises(HistoryError):
            await projector.run_once()
        await execute(history_url, "ALTER TABLE lost RENAME TO transitions")
        await until_stored(projector, 2)
    assert await query(history_url, STATES) == [(done.id, "succeeded", 3)]


async def test_what_another_dispatcher_holds_is_left_to_it_while_it_may_be_storing(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """Events that another dispatcher has just read are left to it."""
    await seed(broker, queues[0])
    await read_by_another(broker, queues[:1])
    read_at = time.monotonic()
    await wait_until(lambda: time.monotonic() - read_at > 0.1, "it has been held for a tenth of a second")
    async with watched(history_url, broker, metrics, events=[]) as (projector, _):
        assert (await projector.run_once()).stored == 0
    assert await held(broker, queues[0]) == 1


async def test_a_take_over_that_fails_is_tried_again_in_the_next_pass_and_then_not_for_a_while(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A take-over that fails is repeated in the next pass, and after a success not for a while."""
    monkeypatch.setattr(event_reader, "ABANDONED_S", 0.0)
    await seed(broker, queues[0])
    await read_by_another(broker, queues[:1])
    async with watched(history_url, broker, metrics, fails_at="take_over", events=[]) as (projector, feed):
        with pytest.raises(StoreUnavailableError):
            await projector.run_once()
        assert (await projector.run_once()).stored == 1
        for _ in range(3):
            await projector.run_once()
        assert feed.calls["take_over"] == 2


async def test_the_list_of_queues_is_not_read_at_every_pass(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of queues is not read in every pass, because it costs more than a pass."""
    asked: list[None] = []
    known = broker.registry.queues

    async def count() -> list[Queue]:
        asked.append(None)
        return await known()

    monkeypatch.setattr(broker.registry, "queues", count)
    monkeypatch.setattr(module, "QUEUES_EVERY_S", 600.0)
    async with watched(history_url, broker, metrics, events=[]) as (projector, _):
        for _ in range(3):
            await projector.run_once()
    assert len(asked) == 1


async def test_some_entries_are_read_of_each_queue_however_many_there_are(
    broker: Broker, history_url: str, metrics: MetricRegistry
) -> None:
    """Some entries are read of each queue, however many queues there are."""
    for count, entries in ((1, module.ENTRIES_AT_ONCE), (500, module.ENTRIES_AT_LEAST)):
        await broker.registry.add_queues([Queue(Tenant("t"), JobType("many"), number) for number in range(count)])
        async with watched(history_url, broker, metrics, events=[]) as (projector, feed):
            await projector.run_once()
            assert feed.entries == entries


async def test_the_lag_is_the_age_of_the_oldest_event_in_seconds(
    broker: Broker, queues: list[Queue], metrics: MetricRegistry
) -> None:
    """The lag is the age in seconds of the oldest event that waits."""
    async with watched(AWAY, broker, metrics, events=made_up(queues[0], [10.0, 300.0, 20.0])) as (projector, _):
        with pytest.raises(HistoryUnavailableError):
            await projector.run_once()
        assert lag(metrics) == pytest.approx(300, abs=30)


async def test_an_event_of_more_jobs_than_fit_one_transaction_is_stored_alone(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """An event of more jobs than a transaction holds is stored in a transaction of its own."""
    events = made_up(queues[0], [1.0, 1.0], jobs=module.FEWEST_MOVES_AT_ONCE + 50)
    async with watched(history_url, broker, metrics, events=events) as (projector, _):
        stored = [(await projector.run_once()).stored for _ in range(2)]
    assert stored == [150, 150]
    assert await query(history_url, "SELECT count(*) FROM transitions") == [(300,)]


async def test_transactions_grow_up_to_a_bound(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction may be twice as large as the one before, up to a bound."""
    monkeypatch.setattr(module, "MOST_MOVES_AT_ONCE", 400)
    async with watched(history_url, broker, metrics, events=made_up(queues[0], [1.0] * 170, jobs=10)) as (duty, _):
        stored = [(await duty.run_once()).stored for _ in range(6)]
    assert stored == [100, 200, 400, 400, 400, 200]


async def test_a_newer_release_is_told_each_time_it_comes(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says each time that the tables become those of a newer release."""
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.0)
    revision = (await query(history_url, "SELECT version_num FROM alembic_version"))[0][0]
    with structlog.testing.capture_logs() as lines:
        async with watched(history_url, broker, metrics, events=[]) as (projector, _):
            for found in ("9999", "9999", revision, "9998"):
                await execute(history_url, f"UPDATE alembic_version SET version_num = '{found}'")
                await projector.run_once()
    assert [line["revision"] for line in lines if "newer release" in line["event"]] == ["9999", "9998"]


class WatchedFeed:
    """A feed that counts its calls, fails at the first call of one kind, and can return given events."""

    def __init__(self, feed: EventFeed, *, fails_at: str = "", events: list[QueueEvents] | None = None) -> None:
        self._feed = feed
        self._fails_at = fails_at
        self._events = events
        self.calls: Counter[str] = Counter()
        self.jobs: list[str] = []
        """The jobs that were read."""
        self.entries = 0
        """The number of entries that the last read asked for."""

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        if name == self._fails_at and self.calls[name] == 1:
            return self._fail
        return getattr(self._feed, name)

    async def read(self, queues: list[Queue], *, entries: int) -> list[QueueEvents]:
        """Return the given events once and then none; without given events, read the real feed."""
        self.entries = entries
        if self._events is None:
            return await self._feed.read(queues, entries=entries)
        events, self._events = self._events, []
        return events

    async def jobs_of(self, batch: QueueEvents, **options: Any) -> Snapshots:
        """Return what the real feed reads."""
        found = await self._feed.jobs_of(batch, **options)
        self.jobs += found.jobs
        return found

    async def _fail(self, *_: Any, **__: Any) -> None:
        raise StoreUnavailableError("away")


@asynccontextmanager
async def watched(url: str, broker: Broker, metrics: MetricRegistry, **options: Any) -> AsyncIterator[Any]:
    """Yield a projector, and its feed."""
    async with (
        open_history(url) as history,
        aclosing(broker.feed(group=GROUP, consumer=consumer_name())) as feed,
    ):
        watched = WatchedFeed(feed, **options)
        yield Projector(watched, broker, history, HistoryMetrics(metrics)), watched


def made_up(queue: Queue, ages_s: list[float], jobs: int = 1) -> list[QueueEvents]:
    """Return events of these ages, each with this many jobs that Redis does not have."""
    now_ms = round(time.time() * 1000)

    def transitions() -> list[JobTransition]:
        return [JobTransition(new_job_id(queue), 2, "running", 1) for _ in range(jobs)]

    return [
        QueueEvents(
            queue,
            [
                Event(f"1-{n}", EventKind.STARTED, now_ms - round(age_s * 1000), "w", transitions())
                for n, age_s in enumerate(ages_s)
            ],
        )
    ]


AWAY = "postgresql://u@127.0.0.1:9/none"


async def test_what_was_stored_and_not_acknowledged_is_acknowledged_in_the_next_pass(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """Events whose acknowledgement failed are stored and acknowledged again in the next pass."""
    await seed(broker, queues[0], 3)
    async with watched(history_url, broker, metrics, fails_at="acknowledge") as (duty, _):
        with pytest.raises(StoreUnavailableError):
            await until_stored(duty, 3)
        assert await held(broker, queues[0]) == 1
        assert (await duty.run_once()).stored == 3
        assert await held(broker, queues[0]) == 0
    assert len(await query(history_url, KINDS)) == 3


async def test_what_was_acknowledged_by_nobody_and_stored_is_stored_once(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that a dead dispatcher stored and did not acknowledge are stored once."""
    monkeypatch.setattr(event_reader, "ABANDONED_S", 0.0)
    await seed(broker, queues[0], 3)

    async with watched(history_url, broker, metrics, fails_at="acknowledge") as (dying, _):
        with pytest.raises(StoreUnavailableError):
            await until_stored(dying, 3)
    assert await held(broker, queues[0]) == 1
    async with projector_of(history_url, broker, metrics) as heir:
        await until_stored(heir, 3)
    assert len(await query(history_url, KINDS)) == 3
    assert await held(broker, queues[0]) == 0


async def test_many_dispatchers_store_everything_between_them(
    broker: Broker, queues: list[Queue], history_url: str
) -> None:
    """Several dispatchers that store the same jobs at once cause no deadlock and overwrite no newer row."""
    ids: set[str] = set()

    async def are_all_stored() -> bool:
        return await query(history_url, "SELECT count(*) FROM transitions") == [(3 * len(ids),)]

    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(run, broker, history_url, stop)
        for _ in range(20):
            ids |= set(await seed(broker, queues[0], 10))
            for one in await take(broker, queues[0]):
                await commit(broker, one)
        await wait_until(are_all_stored, "all is stored", 60)
        stop.set()
    assert await query(history_url, STATES) == [(job_id, "succeeded", 3) for job_id in sorted(ids)]


async def test_history_catches_up_when_its_database_comes_back(
    broker: Broker, queues: list[Queue], metrics: MetricRegistry
) -> None:
    """Jobs run on while the database is away, the lag is shown, and the history is complete afterwards."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("it needs a PostgreSQL of its own, to stop it")
    # One that keeps what it has confirmed.
    with local_postgres(programs, {}) as server:
        await migrate(server.url)
        async with projector_of(server.url, broker, metrics) as projector:
            await seed(broker, queues[0], 2)
            await until_stored(projector, 2)
            server.stop()
            gone_at = time.time()
            for one in await take(broker, queues[0]):
                await commit(broker, one)
            with pytest.raises(HistoryUnavailableError):
                await until_stored(projector, 1)
            await seed(broker, queues[1], 3)
            with pytest.raises(HistoryUnavailableError):
                await projector.run_once()
            assert 0 < lag(metrics) <= time.time() - gone_at + 1
            server.start()
            await until_stored(projector, 7)
            await projector.run_once()
        assert await query(server.url, "SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state") == [
            ("queued", 3),
            ("succeeded", 2),
        ]
        assert len(await query(server.url, KINDS)) == 9
    assert lag(metrics) == 0
    assert await held(broker, queues[0]) == 0


async def test_nothing_is_said_of_a_database_that_was_not_asked(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """Until the database has responded it is not ready and the lag is NaN; afterwards it is ready and the lag is 0."""
    async with projector_of(history_url, broker, metrics) as projector:
        assert not projector.check().ok
        assert math.isnan(lag(metrics))
        await projector.run_once()
        assert projector.check().ok
        assert lag(metrics) == 0
    assert await held(broker, queues[0]) == 0


async def test_a_database_that_is_away_is_noticed_with_nothing_to_store(
    broker: Broker, queues: list[Queue], metrics: MetricRegistry
) -> None:
    """A database that is away is noticed in the first pass, also with nothing to store."""
    async with projector_of("postgresql://u@127.0.0.1:9/none", broker, metrics) as projector:
        with pytest.raises(HistoryUnavailableError):
            await projector.run_once()
        assert not projector.check().ok
        assert "nothing listens" in projector.check().detail
        assert math.isnan(lag(metrics))
        await seed(broker, queues[0])
        with pytest.raises(HistoryUnavailableError):
            await until_stored(projector, 1)
        assert lag(metrics) >= 0


async def test_a_database_that_goes_away_later_is_noticed_too(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that goes away later is noticed with nothing to store, and so is its return."""
    async with projector_of(history_url, broker, metrics) as projector:
        await projector.run_once()
        await execute(history_url, "ALTER TABLE jobs RENAME TO gone")
        await projector.run_once()
        assert projector.check().ok, "it is not looked at in every pass"
        monkeypatch.setattr(module, "PROBE_EVERY_S", 0.0)
        with pytest.raises(HistorySchemaError):
            await projector.run_once()
        assert not projector.check().ok
        assert math.isnan(lag(metrics))
        await execute(history_url, "ALTER TABLE gone RENAME TO jobs")
        await projector.run_once()
        assert projector.check().ok
        assert lag(metrics) == 0
    assert await held(broker, queues[0]) == 0


@pytest.mark.parametrize("skew_s", [-7_200, 7_200], ids=["behind", "ahead"])
async def test_how_far_it_is_behind_is_told_by_the_clock_of_redis(
    broker: Broker, queues: list[Queue], metrics: MetricRegistry, skew_s: int
) -> None:
    """The lag is measured by the clock of Redis, whatever the clock of the dispatcher says."""
    broker.clock._offset_s += skew_s
    await seed(broker, queues[0])
    async with projector_of("postgresql://u@127.0.0.1:9/none", broker, metrics) as projector:

        async def is_longer_than(seconds: float) -> bool:
            with pytest.raises(HistoryUnavailableError):
                await projector.run_once()
            return lag(metrics) > seconds

        await wait_until(lambda: is_longer_than(0.0), "what waits is held")
        held_s = lag(metrics)
        assert held_s < 600
        await wait_until(lambda: is_longer_than(held_s), "the lag grows with what waits")


async def test_an_older_dispatcher_goes_on_in_tables_of_a_newer_release_and_says_so_once(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """After a rollback the older dispatcher writes to the newer tables, and logs that once."""
    await execute(history_url, "UPDATE alembic_version SET version_num = '9999'")
    await execute(history_url, "ALTER TABLE jobs ADD COLUMN region text NOT NULL DEFAULT 'here'")
    with structlog.testing.capture_logs() as lines:
        async with projector_of(history_url, broker, metrics) as projector:
            [job_id] = await seed(broker, queues[0])
            await until_stored(projector, 1)
            await seed(broker, queues[1])
            await until_stored(projector, 1)
    assert [line["revision"] for line in lines if "newer release" in line["event"]] == ["9999"]
    assert (job_id,) in await query(history_url, "SELECT id FROM jobs WHERE region = 'here'")


async def test_what_an_older_dispatcher_cannot_write_waits_for_the_newer_one(
    broker: Broker, queues: list[Queue], history_url: str, metrics: MetricRegistry
) -> None:
    """Events that an older dispatcher cannot store are not acknowledged, and a newer one stores them."""
    await execute(history_url, "UPDATE alembic_version SET version_num = '9999'")
    await execute(history_url, "ALTER TABLE jobs ADD COLUMN region text NOT NULL")
    async with projector_of(history_url, broker, metrics) as projector:
        await seed(broker, queues[0])
        with pytest.raises(HistorySchemaError, match="newer release"):
            await until_stored(projector, 1)
        assert "newer release" in projector.check().detail
    assert await held(broker, queues[0]) == 1


async def test_a_dispatcher_without_the_tables_does_its_other_duties(
    broker: Broker, queues: list[Queue], empty_history_url: str
) -> None:
    """A dispatcher without tables says so, runs its other duties, and begins once the tables are there."""

    async def is_released() -> bool:
        return len(await take(broker, queues[0])) == 1

    async def is_stored() -> bool:
        return await query(empty_history_url, "SELECT state FROM jobs") == [("running",)]

    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        promoter = Promoter(
            broker.store, CheckSchedule(broker.registry, 0.0), DispatcherMetrics(MetricRegistry()), interval_s=0.05
        )
        tasks.start_soon(run, broker, empty_history_url, stop, promoter)
        await broker.store.enqueue(queues[0], [new_job(queues[0], delay_ms=1)])
        await wait_until(is_released, "the job is released")
        await migrate(empty_history_url)
        await wait_until(is_stored, "the job is in the history", 60)
        stop.set()


async def run(broker: Broker, url: str, stop: anyio.Event, *others: Duty) -> None:
    """Run a projector and other duties beside it, as a dispatcher does."""
    metrics = MetricRegistry()
    async with projector_of(url, broker, metrics) as projector:
        await DutyRunner([projector, *others], DutyMetrics(metrics, "dispatcher")).run(stop)
