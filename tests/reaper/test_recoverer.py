"""The recoverer makes jobs of lost workers ready again, and buries those that keep killing their workers."""

import time
from typing import Any

import anyio
import msgspec
import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from scripts_seen import ScriptsSeen
from streams.seeds import commit, job_of, lease, new_job, seed, seed_running, take, take_one
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import DEFAULT_TENANT, JobSpec, JobState, JobType, Priority, Queue
from millstream_reaper.recoverer import Recoverer, Recoveries
from millstream_streams import Broker, CommitCode, Delivery, JobStore, QueueScripts, StoreUnavailableError, open_broker
from millstream_telemetry import JobTracer, MetricRegistry, ReaperMetrics, TraceContext
from millstream_telemetry.tracing.delivery_spans import delivery_span

LEASE_S = 600.0


def make(
    broker: Broker,
    metrics: MetricRegistry,
    tracer: JobTracer | None = None,
    seen: ScriptsSeen | None = None,
    **settings: Any,
) -> Recoverer:
    """Return a recoverer, by default one whose leases run out at once."""
    return Recoverer(
        JobStore(QueueScripts(broker.client, broker.keys, observer=seen)) if seen else broker.store,
        broker.registry,
        ReaperMetrics(metrics),
        tracer or JobTracer(None),
        **{"lease_s": 0.0, "max_crashes": 3, "interval_s": 600.0, **settings},
    )


def counted(metrics: MetricRegistry, job_type: str) -> dict[str, float]:
    """Return how often each reason was counted for a type."""
    return {
        sample.labels["reason"]: sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == "millstream_recovered_total" and sample.labels["type"] == job_type and sample.value
    }


async def test_run_once_takes_back_what_is_expired_on_every_queue(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A pass recovers every job whose lease ran out, in every queue, and counts it."""
    held = [await seed_running(broker, queue, f"w{number}") for number, queue in enumerate(queues)]
    found = await make(broker, metrics).run_once()
    assert (found.requeued, found.buried, found.strays) == (3, 0, 0)
    for one in held:
        job = await job_of(broker, one.queue, one.id)
        assert (job.state, job.crashes, job.attempts) == (JobState.QUEUED, 1, 0)
        assert await commit(broker, one) is CommitCode.STALE
    assert counted(metrics, "email.send") == {"lease_expired": 2}
    assert counted(metrics, "report") == {"lease_expired": 1}


async def test_run_once_looks_at_everything_however_much_it_is(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A pass goes through every stream to its end, a hundred entries a call."""
    queue = queues[0]
    for _ in range(3):
        await seed(broker, queue, 90)
        await broker.store.claim(queue, consumer="w1", nonce=str(time.monotonic()), limit=100)
    found = await make(broker, metrics).run_once()
    assert found.requeued == 270
    assert (await broker.store.measure(queue)).running == 0


async def test_run_once_leaves_leases_that_have_not_run_out(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A job whose lease has not run out stays with its worker."""
    held = await seed_running(broker, queues[0])
    assert await make(broker, metrics, lease_s=LEASE_S).run_once() == Recoveries()
    assert await commit(broker, held) is CommitCode.COMMITTED


async def test_run_once_takes_back_a_delivery_when_its_lease_has_run_out_and_not_before(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A delivery is recovered when its lease has run out and not before, in seconds, at every priority."""
    jobs = [await seed_running(broker, queues[0], priority=priority) for priority in Priority]
    for leases, taken_back in ((0.9, 0), (1.1, 3)):
        for delivery in jobs:
            await age(broker, delivery, leases)
        assert (await make(broker, metrics, lease_s=LEASE_S).run_once()).requeued == taken_back


async def test_run_once_says_whose_job_it_took_back(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The log names the job, the worker that it was recovered from, and what became of it."""
    held = await seed_running(broker, queues[0], "w1")
    with structlog.testing.capture_logs() as lines:
        await make(broker, metrics, max_crashes=2).run_once()
        await take_one(broker, queues[0], "w2")
        await make(broker, metrics, max_crashes=2).run_once()
    assert [
        {name: line[name] for name in ("event", "log_level", "job_id", "type", "worker", "reason")} for line in lines
    ] == [
        {
            "event": event,
            "log_level": level,
            "job_id": held.id,
            "type": "email.send",
            "worker": worker,
            "reason": reason,
        }
        for event, level, worker, reason in (
            ("recovered", "warning", "w1", "lease_expired"),
            ("buried", "error", "w2", "crashed"),
        )
    ]


async def test_run_once_buries_a_job_that_has_crashed_too_often(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A job that has crashed too often is buried."""
    recoverer = make(broker, metrics, max_crashes=2)
    held = await seed_running(broker, queues[0])
    assert (await recoverer.run_once()).requeued == 1
    await take_one(broker, queues[0])
    found = await recoverer.run_once()
    assert (found.requeued, found.buried) == (0, 1)
    job = await job_of(broker, queues[0], held.id)
    assert (job.state, job.reason, job.crashes) == (JobState.DEAD, "crashed", 2)
    assert counted(metrics, "email.send") == {"lease_expired": 1, "buried": 1}
    finished = {"type": "email.send", "state": "dead"}
    assert metrics.get_sample_value("millstream_jobs_finished_total", finished) == 1


async def test_run_once_counts_the_end_of_a_job_whose_cancellation_was_asked_for(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A job that was to be cancelled when its worker vanished is counted as cancelled."""
    held = await seed_running(broker, queues[0])
    await broker.store.cancel(queues[0], [held.id])
    await make(broker, metrics).run_once()
    finished = {"type": "email.send", "state": "cancelled"}
    assert metrics.get_sample_value("millstream_jobs_finished_total", finished) == 1


async def test_run_once_charges_nothing_for_what_was_only_read(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A job whose entry was only read is recovered without a crash."""
    await seed_running(broker, queues[0])
    await make(broker, metrics).run_once()
    reader = broker.reader()
    # The first read makes the groups that are missing.
    while not await reader.wait(queues[:1], consumer="w2", block_ms=0):
        pass
    await reader.close()
    found = await make(broker, metrics, max_crashes=1).run_once()
    assert (found.requeued, found.buried) == (1, 0)
    assert counted(metrics, "email.send") == {"lease_expired": 1, "never_started": 1}


async def test_run_once_counts_strays(broker: Broker, metrics: MetricRegistry, queues: list[Queue]) -> None:
    """Entries whose jobs are gone are removed and counted."""
    for _ in range(3):
        held = await seed_running(broker, queues[0])
        await broker.client.delete(broker.keys.of(queues[0]).job(held.id))
    found = await make(broker, metrics).run_once()
    assert (found.requeued, found.strays) == (0, 3)
    assert counted(metrics, "email.send") == {"stray": 3}


async def test_reapers_that_pass_at_once_take_each_job_back_once(
    broker: Broker, redis_url: str, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Several active reapers recover each job once, without a lock."""
    held = [await seed_running(broker, queue, "w1") for queue in queues for _ in range(40)]
    totals: list[Recoveries] = []

    async def reap() -> None:
        async with open_broker(redis_url, namespace=broker.keys.namespace) as own:
            totals.append(await make(own, metrics).run_once())

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(reap)
    assert sum(found.requeued for found in totals) == len(held)
    assert sum(found.strays for found in totals) == 0
    for one in held:
        job = await job_of(broker, one.queue, one.id)
        assert (job.state, job.crashes) == (JobState.QUEUED, 1)


async def test_a_recovery_is_a_span_in_the_trace_of_its_job(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The spans `recover` and `bury` link to the delivery that they end, and name its worker."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spec = JobSpec(
        msgspec.Raw(b"\xc0"), 0, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01", tracestate="vendor=1"
    )
    job = msgspec.structs.replace(new_job(queues[0]), spec=msgspec.msgpack.encode(spec))
    await broker.store.enqueue(queues[0], [job])
    recoverer = make(broker, metrics, JobTracer(provider), max_crashes=2)
    with structlog.testing.capture_logs() as lines:
        for worker in ("w1", "w2"):
            await take_one(broker, queues[0], worker)
            await recoverer.run_once()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["recover", "bury"]
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {"a" * 32}
    assert [span.context.trace_state.to_header() for span in spans if span.context] == ["vendor=1"] * 2
    told = {"messaging.destination.name": "email.send", "messaging.message.id": job.id}
    told["millstream.job.tenant"] = queues[0].tenant
    assert [dict(span.attributes or {}) for span in spans] == [
        told
        | {"messaging.client.id": "w1", "millstream.job.delivery": 1}
        | {"millstream.job.outcome": "lost", "millstream.job.reason": "lease_expired"},
        told
        | {"messaging.client.id": "w2", "millstream.job.delivery": 2, "error.type": "crashed"}
        | {"millstream.job.outcome": "dead", "millstream.job.reason": "crashed"},
    ]
    assert [span.status.is_ok for span in spans] == [True, False]
    assert "may happen 1 times" in str(spans[1].status.description or dict(spans[1].events[0].attributes or {}))
    stored = TraceContext(spec.traceparent)
    assert [[f"{link.context.span_id:016x}" for link in span.links] for span in spans] == [
        [delivery_span(stored, job.id, number).traceparent[36:52]] for number in (1, 2)
    ]
    assert [(line["event"], line["trace_id"], line["worker"], line["delivery"]) for line in lines] == [
        ("recovered", "a" * 32, "w1", 1),
        ("buried", "a" * 32, "w2", 2),
    ]
    provider.shutdown()


async def test_the_line_of_a_job_that_was_not_claimed_names_no_worker(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The log line of a job that was read and not claimed names neither a worker nor a delivery."""
    await take(broker, queues[0])
    (job_id,) = await seed(broker, queues[0])
    reader = broker.reader()
    await reader.wait([queues[0]], consumer="w1", block_ms=0)
    await reader.close()
    with structlog.testing.capture_logs() as lines:
        await make(broker, metrics).run_once()
    assert lines == [
        {
            "event": "recovered",
            "log_level": "warning",
            "duty": "recoverer",
            "job_id": job_id,
            "type": "email.send",
            "reason": "never_started",
        }
    ]


async def test_a_queue_that_is_broken_does_not_keep_the_others_from_recovery(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A broken queue fails the pass, and the jobs of the others are recovered."""
    broken = Queue(DEFAULT_TENANT, JobType("a.broken.one"))
    await broker.registry.add_queues([broken])
    await broker.client.set(broker.keys.of(broken).ready[0], "no stream")
    recoverer = make(broker, metrics)
    for _ in range(3):
        held = [await seed_running(broker, queue) for queue in queues]
        with pytest.raises(Exception, match="WRONGTYPE"):
            await recoverer.run_once()
        for one in held:
            assert (await job_of(broker, one.queue, one.id)).state is JobState.QUEUED
            await commit(broker, await take_one(broker, one.queue))
    await broker.client.delete(broker.keys.of(broken).ready[0])


async def test_run_once_is_not_stopped_by_a_tag_that_nobody_can_read(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A tag in the registry that cannot be parsed does not stop the pass."""
    await broker.client.sadd(broker.keys.queues, "no tag", "default/x/zz")
    held = await seed_running(broker, queues[0])
    assert (await make(broker, metrics).run_once()).requeued == 1
    assert (await job_of(broker, queues[0], held.id)).state is JobState.QUEUED


async def age(broker: Broker, delivery: Delivery, leases: float = 2.0) -> None:
    """Make a delivery look as if its worker had been silent for this many leases, by default two."""
    stream = broker.keys.of(delivery.queue).ready[delivery.priority_index - 1]
    idle_ms = round(leases * LEASE_S * 1000)
    await broker.client.xclaim(stream, "workers", "w1", 0, [delivery.entry], idle=idle_ms, justid=True)


async def test_every_pass_looks_at_every_queue(broker: Broker, metrics: MetricRegistry, queues: list[Queue]) -> None:
    """Every pass checks every queue, also one in which nothing was held a moment ago."""
    seen = ScriptsSeen()
    recoverer = make(broker, metrics, seen=seen, lease_s=LEASE_S)
    vanished, ended = await seed_running(broker, queues[0]), await seed_running(broker, queues[1])
    for requeued in (0, 1, 0):
        assert (await recoverer.run_once()).requeued == requeued
        assert seen.take() == {"recover": 3}
        await age(broker, vanished)
    await commit(broker, ended)
    await age(broker, await seed_running(broker, queues[2]))
    assert (await recoverer.run_once()).requeued == 1
    assert seen.take() == {"recover": 3}


async def test_run_once_looks_at_a_new_queue_at_once(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A new queue is checked in the next pass."""
    recoverer = make(broker, metrics, lease_s=LEASE_S)
    await recoverer.run_once()
    new = Queue(DEFAULT_TENANT, JobType("new"))
    held = await seed_running(broker, new)
    await age(broker, held)
    await broker.registry.add_queues([new])
    assert (await recoverer.run_once()).requeued == 1


async def test_what_is_delivered_right_after_a_look_is_taken_back_in_the_first_pass_after_its_lease(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A job that is delivered right after a check is recovered in the first pass after its lease."""
    lease_s = 0.3
    recoverer = make(broker, metrics, lease_s=lease_s)
    await recoverer.run_once()
    held = await seed_running(broker, queues[-1])
    held_at = time.monotonic()
    await wait_until(lambda: time.monotonic() - held_at > lease_s + 0.01, "the lease has run out")
    assert (await recoverer.run_once()).requeued == 1
    assert (await job_of(broker, queues[-1], held.id)).state is JobState.QUEUED


async def test_a_broken_queue_does_not_make_the_others_look_as_if_redis_were_away(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A broken queue begins no grace, because the other queues show that Redis takes writes."""
    broken = Queue(DEFAULT_TENANT, JobType("a.broken.one"))
    await broker.registry.add_queues([broken])
    await broker.client.set(broker.keys.of(broken).ready[0], "no stream")
    recoverer = make(broker, metrics, **GRACE)
    last: list[float] = []

    async def fails_again() -> bool:
        with pytest.raises(Exception, match="WRONGTYPE"):
            await recoverer.run_once()
        last.append(time.monotonic())
        return last[-1] - last[0] > GRACE_LEASE_S / 2

    with structlog.testing.capture_logs() as lines:
        await wait_until(fails_again, "half a lease has passed, with passes in it")
    assert lines == []
    await broker.client.delete(broker.keys.of(broken).ready[0])


async def test_after_an_outage_every_queue_is_looked_at(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """After an outage every queue is checked, because a new primary may hold jobs that the old one had not."""
    seen = ScriptsSeen()
    recoverer = make(broker, metrics, seen=seen, **GRACE)
    await recoverer.run_once()
    began = time.monotonic()
    seen.take()
    await wait_until(lambda: time.monotonic() - began > GRACE_LEASE_S / 2, "the last good pass is long ago")
    with structlog.testing.capture_logs() as lines:
        await recoverer.run_once()
    assert seen.take() == {"recover": 3}
    assert [(line["event"], line["seconds"]) for line in lines] == [
        ("leases are given time after an outage", GRACE_LEASE_S)
    ]


class Outage:
    """A server of this test's own that answers reads and refuses writes, as one without its replicas does."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def begin(self) -> None:
        """Refuse writes."""
        await self._broker.client.config_set("min-replicas-to-write", 1)

    async def end(self) -> None:
        """Accept writes again."""
        await self._broker.client.config_set("min-replicas-to-write", 0)


async def fails(recoverer: Recoverer) -> bool:
    """Run a pass; return whether it was refused."""
    try:
        await recoverer.run_once()
    except StoreUnavailableError:
        return True
    return False


# Lease and interval of the tests of the grace, which begins half a lease after the last good pass.
GRACE_LEASE_S = 0.7
GRACE = {"lease_s": GRACE_LEASE_S, "interval_s": 0.0}


@pytest.fixture
def held_queue() -> Queue:
    """Return a queue for a server of a test's own."""
    return Queue(DEFAULT_TENANT, JobType("email.send"))


@pytest.mark.parametrize("outage_s", [0.5, 1.15, 1.5], ids=["short", "beyond the grace", "long"])
async def test_after_an_outage_workers_are_given_time_to_renew(
    own_redis: EmbeddedRedis, metrics: MetricRegistry, held_queue: Queue, outage_s: float
) -> None:
    """After an outage a worker that renews within a lease keeps its jobs, although every lease looks expired."""
    async with open_broker(own_redis.url, namespace="grace", patience_s=0.0) as broker:
        outage, recoverer = Outage(broker), make(broker, metrics, **GRACE)
        await broker.registry.add_queues([held_queue])
        alive, vanished = await seed_running(broker, held_queue), await seed_running(broker, held_queue)
        await recoverer.run_once()
        await outage.begin()
        began = time.monotonic()

        async def has_lasted() -> bool:
            await fails(recoverer)
            return time.monotonic() - began > outage_s

        await wait_until(has_lasted, "the outage has lasted")
        await outage.end()
        # The reaper comes first: no worker has had a chance to renew.
        assert (await recoverer.run_once()).requeued == 0
        for _ in range(3):
            await broker.store.renew(held_queue, consumer="w1", leases=[lease(alive)])
        assert (await job_of(broker, held_queue, alive.id)).crashes == 0

        async def is_vanished_taken_back() -> bool:
            await broker.store.renew(held_queue, consumer="w1", leases=[lease(alive)])
            await recoverer.run_once()
            return (await job_of(broker, held_queue, vanished.id)).crashes == 1

        await wait_until(is_vanished_taken_back, "what is not renewed is taken back after the grace")
        job = await job_of(broker, held_queue, alive.id)
        assert (job.state, job.crashes) == (JobState.RUNNING, 0)


async def test_a_reaper_that_found_redis_away_when_it_started_gives_leases_time(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A reaper that waited for Redis at its start recovers only what is not renewed within a lease."""
    lease_s = 0.2
    recoverer = make(broker, metrics, lease_s=lease_s, was_away=True)
    held = await seed_running(broker, queues[2])
    await age(broker, held)
    began = time.monotonic()
    assert (await recoverer.run_once()).requeued == 0

    async def is_taken_back() -> bool:
        return (await recoverer.run_once()).requeued == 1

    await wait_until(is_taken_back, "the job is taken back")
    assert time.monotonic() - began >= lease_s


@pytest.mark.parametrize(
    ("was_away", "said"),
    [
        (False, ("debug", "leases are given time after the start of redis")),
        (True, ("warning", "leases are given time after an outage")),
    ],
)
async def test_the_start_of_a_redis_is_no_outage(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue], was_away: bool, said: tuple[str, str]
) -> None:
    """Leases are given time beside a Redis that has just started, and a warning tells only of one that was away."""
    recoverer = make(broker, metrics, lease_s=LEASE_S, has_just_started=True, was_away=was_away)
    with structlog.testing.capture_logs() as lines:
        await age(broker, await seed_running(broker, queues[2]))
        assert (await recoverer.run_once()).requeued == 0
    assert [(line["log_level"], line["event"]) for line in lines] == [said]


async def test_an_outage_after_the_start_of_a_redis_is_told_as_one(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """What the first grace was for says nothing about the next one."""
    recoverer = make(broker, metrics, **GRACE, has_just_started=True)
    await recoverer.run_once()
    began = time.monotonic()
    await wait_until(lambda: time.monotonic() - began > GRACE_LEASE_S / 2, "the last good pass is long ago")
    with structlog.testing.capture_logs() as lines:
        await recoverer.run_once()
    assert [line["event"] for line in lines] == ["leases are given time after an outage"]


async def test_an_installation_without_queues_is_no_outage(broker: Broker, metrics: MetricRegistry) -> None:
    """Passes that have no queue to ask begin no grace after that of the start, which would go on for ever."""
    recoverer = make(broker, metrics, lease_s=0.2, interval_s=0.0, has_just_started=True)
    with structlog.testing.capture_logs() as lines:
        await recoverer.run_once()
        await recoverer.run_once()
        assert [line["event"] for line in lines] == ["leases are given time after the start of redis"]


async def test_a_pass_within_the_interval_is_no_outage(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A lease that runs out between two regular passes is recovered in the second, however short the lease is."""
    lease_s = 0.1
    recoverer = make(broker, metrics, lease_s=lease_s)
    await recoverer.run_once()
    passed_at = time.monotonic()
    await seed_running(broker, queues[2])
    await wait_until(lambda: time.monotonic() - passed_at > 2 * lease_s, "the lease has run out")
    assert (await recoverer.run_once()).requeued == 1


async def test_a_reaper_that_has_just_started_gives_no_grace(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A reaper that has just started gives no grace, so that one that restarts often still recovers."""
    await seed_running(broker, queues[0])
    assert (await make(broker, metrics).run_once()).requeued == 1
