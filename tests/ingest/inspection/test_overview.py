"""Operators read queues, types and workers over HTTP."""

from datetime import UTC, datetime, timedelta

from ingest.serving import problem
from streams.seeds import seed, seed_dead, seed_running

from millstream_contracts import (
    DEFAULT_TENANT,
    Incident,
    JobType,
    Priority,
    Queue,
    TypePolicy,
    TypeRegistration,
    WorkerInfo,
)
from millstream_ingest.assembly import MAX_CONNECTIONS
from millstream_streams import StoreUnavailableError

HOT = [Queue(DEFAULT_TENANT, JobType("hot.type"), partition) for partition in range(2)]


async def test_queue_is_counted_over_its_partitions(ingest, broker):
    """A queue is shown with the counts of all its partitions."""
    for queue in HOT:
        await seed_dead(broker, queue)
        await seed_running(broker, queue)
        await seed(broker, queue, 2, priority=Priority.HIGH)
        await seed(broker, queue, 3, priority=Priority.LOW)
        await seed(broker, queue, 1, delay_ms=3_600_000)
    await broker.registry.add_queues(HOT)
    status = await ingest.get("/v1/queues/hot.type")
    (listed,) = (await ingest.get("/v1/queues"))["items"]
    assert listed["queued"] == status["queued"]
    assert status["partitions"] == 2
    assert status["queued"] == {"high": 4, "normal": 0, "low": 6}
    assert (status["running"], status["scheduled"], status["dead"]) == (2, 2, 2)
    assert status["oldest_ready_age_s"] >= 0
    assert status["paused"] is False


async def test_registered_type_has_a_queue_before_its_first_job(ingest, registered):
    """A registered type has an empty queue before its first job."""
    status = await ingest.get("/v1/queues/email.send")
    assert (status["partitions"], status["running"], status["queued"]["normal"]) == (0, 0, 0)


async def test_queues_are_listed_page_by_page(ingest, broker):
    """Queues are listed by name, each once, in pages."""
    names = [f"type.{n:02}" for n in range(7)]
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, JobType(name)) for name in names])
    found, cursor = [], None
    while True:
        page = await ingest.get("/v1/queues", limit=3, **({"cursor": cursor} if cursor else {}))
        found += [item["type"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == names


async def test_types_are_shown_as_registered(ingest, registered):
    """A type is shown with its registered schema and policy."""
    one = await ingest.get("/v1/types/email.send")
    assert one["payload_schema"] == registered.payload_schema
    assert one["policy"]["max_attempts"] == 7
    assert (await ingest.get("/v1/types"))["items"] == [one]


async def test_types_are_listed_page_by_page(ingest, broker):
    """Types are listed by name, in pages."""
    registrations = [TypeRegistration(type=JobType(name), policy=TypePolicy()) for name in ("a", "b", "c")]
    await broker.registry.add_types(DEFAULT_TENANT, registrations)
    first = await ingest.get("/v1/types", limit=2)
    rest = await ingest.get("/v1/types", limit=2, cursor=first["next_cursor"])
    assert [item["type"] for item in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None


async def test_workers_are_shown_with_what_they_run(ingest, broker):
    """Live workers are listed by name, with their slots and the time of the last heartbeat by the clock of Redis."""
    late = datetime.now(UTC) - timedelta(hours=1)
    worker = WorkerInfo(name="w:1:x", types=["email.send"], concurrency=4, busy=1, started_at=late, seen_at=late)
    await broker.registry.beat(worker)
    (shown,) = (await ingest.get("/v1/workers"))["items"]
    assert (shown["name"], shown["concurrency"], shown["busy"]) == ("w:1:x", 4, 1)
    assert datetime.fromisoformat(shown["seen_at"]) > late + timedelta(minutes=30)


async def test_other_tenants_are_not_seen(ingest, broker):
    """A tenant sees its own queues and jobs only."""
    theirs = Queue("other", JobType("email.send"))
    (job_id,) = await seed(broker, theirs)
    await broker.registry.add_queues([theirs])
    await broker.registry.add_types("other", [TypeRegistration(type=JobType("a"), policy=TypePolicy())])
    assert (await ingest.get("/v1/queues"))["items"] == []
    assert (await ingest.get("/v1/types"))["items"] == []
    assert (await ingest.get("/v1/jobs"))["items"] == []
    assert (await ingest.http.get(f"/v1/jobs/{job_id}")).status_code == 404


async def test_queues_are_measured_a_few_at_a_time(ingest, broker, monkeypatch):
    """The queues of a tenant are measured a few at a time, so that connections are left for other requests."""
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, JobType(f"type.{n}")) for n in range(MAX_CONNECTIONS)])
    store, under_way, most = ingest.services.broker.store, 0, 0
    measure = store.measure

    async def counting(queue, **options):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await measure(queue, **options)
        finally:
            under_way -= 1

    monkeypatch.setattr(store, "measure", counting)
    assert len((await ingest.get("/v1/queues"))["items"]) == MAX_CONNECTIONS
    assert 1 < most <= MAX_CONNECTIONS // 2


async def test_queue_that_redis_did_not_measure_is_no_empty_queue(ingest, broker, monkeypatch):
    """When Redis goes away during a count the request is refused, because a part is not the whole."""
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, JobType(f"type.{n}")) for n in range(3)])
    store = ingest.services.broker.store
    measure = store.measure

    async def failing(queue, **options):
        if queue.type == "type.1":
            raise StoreUnavailableError("away")
        return await measure(queue, **options)

    monkeypatch.setattr(store, "measure", failing)
    problem(await ingest.http.get("/v1/queues"), 503, "store-unreachable")


async def test_incidents_are_listed_as_they_are_noted(ingest, broker):
    """The open incidents are shown, oldest first."""
    for number, key in enumerate(("b", "a")):
        opened_ms = 1_700_000_000_000 + number
        await broker.registry.open_incident(
            Incident(rule="dead-letters", key=key, summary=f"1 of {key}", opened_ms=opened_ms, seen_ms=opened_ms)
        )
    items = (await ingest.get("/v1/incidents"))["items"]
    assert [(one["rule"], one["about"], one["summary"]) for one in items] == [
        ("dead-letters", "b", "1 of b"),
        ("dead-letters", "a", "1 of a"),
    ]
    assert items[0]["opened_at"].startswith("2023-11-14T22:13:20")
