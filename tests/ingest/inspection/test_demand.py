"""`GET /v1/demand` tells autoscalers how many workers there should be."""

from datetime import UTC, datetime

import pytest
from ingest.serving import Ingest, problem
from streams.seeds import FAR_MS, seed, seed_running, seed_worker

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Tenant, WorkerInfo
from millstream_streams import Broker

NOTHING = {"queued": 0, "running": 0, "due_soon": 0, "oldest_ready_age_s": 0.0, "slots": 0, "wanted_workers": 0}


@pytest.fixture
async def queue(broker: Broker, queue: Queue) -> Queue:
    """Return a queue that is known."""
    await broker.registry.add_queues([queue])
    return queue


def worker(name: str, *types: str, concurrency: int = 2) -> WorkerInfo:
    """Return a worker that takes these types."""
    now = datetime.now(UTC)
    return WorkerInfo(name=name, types=list(types), concurrency=concurrency, started_at=now, seen_at=now)


async def test_nothing_to_do_wants_no_worker(ingest: Ingest, queue: Queue) -> None:
    """An idle system has no demand, also where a type was never heard of."""
    assert await ingest.get("/v1/demand") == NOTHING
    assert await ingest.get("/v1/demand", types="never.heard.of") == NOTHING


async def test_one_ready_job_wakes_a_worker_from_zero(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """Without any worker a single job wants one."""
    await seed(broker, queue)
    found = await ingest.get("/v1/demand")
    assert found["oldest_ready_age_s"] >= 0
    assert found == NOTHING | {"queued": 1, "wanted_workers": 1, "oldest_ready_age_s": found["oldest_ready_age_s"]}


@pytest.mark.parametrize(("delay_ms", "due_soon"), [(30_000, 1), (FAR_MS, 0)])
async def test_a_delayed_job_wants_a_worker_shortly_before_its_time(
    ingest: Ingest, broker: Broker, queue: Queue, delay_ms: int, due_soon: int
) -> None:
    """A delayed job counts once it is due within `due_soon_s`, and not earlier."""
    await seed(broker, queue, delay_ms=delay_ms)
    assert await ingest.get("/v1/demand") == NOTHING | {"due_soon": due_soon, "wanted_workers": due_soon}


async def test_a_job_of_a_dead_worker_wants_a_worker(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A job that is leased to a worker which is silent counts before its lease is over."""
    await seed_running(broker, queue, "dead")
    await seed_worker(broker, worker("dead", "email.send"), silent_s=60.0)
    assert await ingest.get("/v1/demand") == NOTHING | {"running": 1, "wanted_workers": 1}


async def test_types_choose_queues_and_workers(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """Names and patterns choose the queues that are counted, and the workers whose slots are."""
    report, week = (Queue(DEFAULT_TENANT, JobType(name)) for name in ("report.day", "report.week"))
    await broker.registry.add_queues([report, week, Queue(DEFAULT_TENANT, JobType("report.day"), 1)])
    await seed(broker, queue, 5)
    await seed(broker, report, 3)
    await seed(broker, week, 2)
    await broker.registry.beat(worker("mail", "email.send"))
    await broker.registry.beat(worker("reports", "report.day", "report.week", concurrency=4))
    found = {}
    for types in ("email.send", "report.*", "report.day,email.send", "*"):
        one = await ingest.get("/v1/demand", types=types)
        found[types] = (one["queued"], one["slots"], one["wanted_workers"])
    assert found == {
        "email.send": (5, 2, 3),
        "report.*": (5, 4, 2),
        "report.day,email.send": (8, 6, 3),
        "*": (10, 6, 4),
    }
    everything = await ingest.get("/v1/demand")
    assert (everything["queued"], everything["slots"], everything["wanted_workers"]) == found["*"]


async def test_jobs_of_all_tenants_are_counted_for_the_operator(ingest: Ingest, broker: Broker) -> None:
    """Workers serve every tenant, so how many are wanted follows from the jobs of all."""
    theirs = Queue(Tenant("other"), JobType("email.send"))
    await broker.registry.add_queues([theirs])
    await seed(broker, theirs)
    found = await ingest.get("/v1/demand")
    assert (found["queued"], found["wanted_workers"]) == (1, 1)


@pytest.mark.parametrize("types", ["", "a,,b", "Email", "a b", "a;b", "x" * 65, ",".join(["a"] * 101)])
async def test_types_that_are_none_are_refused(ingest: Ingest, types: str) -> None:
    """A parameter that cannot be a list of types is a 400 that names it."""
    document = problem(await ingest.http.get("/v1/demand", params={"types": types}), 400, "bad-request")
    assert document["errors"][0]["pointer"] == "?types"
