"""What a worker tells the others about itself."""

from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest
from waiting import wait_until
from workers.floor import Floor

from millstream import App, Context, Retry
from millstream_contracts import DEFAULT_TENANT, WorkerInfo


class Invoice(msgspec.Struct):
    """What is to be sent."""

    invoice_id: int
    email: str = ""


def careless() -> App:
    """Return an app whose handler says nothing about its payload."""
    app = App("careless")

    @app.job("anything")
    async def anything(ctx: Context):  # type: ignore[no-untyped-def]
        return 1

    return app


async def info_of(floor: Floor, name: str) -> WorkerInfo:
    """Return a worker as the list has it."""
    (found,) = [worker for worker in await floor.broker.registry.workers() if worker.name == name]
    return found


async def test_a_worker_registers_its_types_as_ingest_needs_them(floor: Floor) -> None:
    """Schemas, policy, and whom to ask."""
    app = App("shop")

    @app.job("invoice.send", timeout=30.0, retry=Retry(max_attempts=7, base=2.0), result_ttl=60.0, partitions=2)
    async def send_invoice(payload: Invoice, ctx: Context) -> list[str]:
        return []

    send_invoice.function.__doc__ = "Send an invoice\n    to its customer.\n\n    More about it.\n    "
    await floor.hire(app, code_version="abc123")
    found = (await floor.broker.registry.types(DEFAULT_TENANT))["invoice.send"]
    assert found.description == "Send an invoice to its customer."
    assert found.handler.endswith("send_invoice")
    assert found.code_version == "abc123"
    assert (found.policy.max_attempts, found.policy.timeout_s, found.policy.result_ttl_s) == (7, 30.0, 60.0)
    assert (found.policy.backoff.base_s, found.policy.partitions) == (2.0, 2)
    assert found.payload_schema is not None
    assert found.payload_schema["$defs"]["Invoice"]["required"] == ["invoice_id"]
    assert found.result_schema == {"type": "array", "items": {"type": "string"}}
    queues = await floor.broker.registry.queues()
    assert [queue.tag for queue in queues] == ["default/invoice.send/00", "default/invoice.send/01"]


async def test_a_handler_that_takes_anything_has_no_schema(floor: Floor) -> None:
    """Then ingest has nothing to refuse."""
    await floor.hire(careless())
    found = (await floor.broker.registry.types(DEFAULT_TENANT))["anything"]
    assert (found.payload_schema, found.result_schema) == (None, None)


async def test_a_worker_is_on_the_list_with_what_it_runs(floor: Floor) -> None:
    """Name, room, version, and the jobs in its hands with their begin."""
    app, go = App("test"), anyio.Event()

    @app.job("one")
    async def one() -> None:
        await go.wait()

    before = datetime.now(UTC)
    hired = await floor.hire(app, concurrency=3, beat_every_s=0.05)
    job_id = await floor.submit("one")

    async def is_shown() -> bool:
        return [job.id for job in (await info_of(floor, hired.name)).running] == [job_id]

    await wait_until(is_shown, "the running job is shown")
    info = await info_of(floor, hired.name)
    job = await floor.job(job_id)
    assert (info.types, info.concurrency, info.busy, info.version, info.state) == (["one"], 3, 1, "1.2.3", "active")
    assert before <= info.started_at <= info.seen_at <= datetime.now(UTC)
    assert info.running[0].started_at == job.started_at
    go.set()

    async def is_idle() -> bool:
        now = await info_of(floor, hired.name)
        return now.busy == 0 and now.running == []

    await wait_until(is_idle, "it is shown as idle")
    assert (await info_of(floor, hired.name)).seen_at > info.seen_at


async def test_a_worker_shows_only_the_jobs_that_run_longest(floor: Floor) -> None:
    """A heartbeat stays small; the number is told in full."""
    app, go = App("test"), anyio.Event()

    @app.job("one")
    async def one() -> None:
        await go.wait()

    hired = await floor.hire(app, concurrency=120, beat_every_s=0.05)
    ids = await floor.submit_many("one", [None] * 120)

    async def are_all_busy() -> bool:
        return (await info_of(floor, hired.name)).busy == 120

    await wait_until(are_all_busy, "all run")
    info = await info_of(floor, hired.name)
    assert len(info.running) == 100
    go.set()
    for job_id in ids:
        await floor.settled(job_id)


def release(job_type: str = "one") -> App:
    """Return a release of an application."""
    app = App("test")

    @app.job(job_type)
    async def one() -> None: ...

    return app


async def test_an_older_worker_takes_nothing_back_by_registering_again(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every worker registers now and then; only a newer start has the last word."""
    monkeypatch.setattr("millstream_workers.registrar.REGISTER_EVERY_BEATS", 1)
    old = await floor.hire(release(), code_version="old", beat_every_s=0.02)
    await floor.hire(release(), code_version="new", beat_every_s=0.02)
    seen = (await info_of(floor, old.name)).seen_at

    async def has_registered_again() -> bool:
        return (await info_of(floor, old.name)).seen_at > seen + timedelta(seconds=0.2)

    await wait_until(has_registered_again, "the older worker has registered again")
    assert (await floor.broker.registry.types(DEFAULT_TENANT))["one"].code_version == "new"


async def test_the_registration_of_a_killed_worker_ends(floor: Floor) -> None:
    """A canary that crashed says no good-bye: the older release is the newest again all the same."""
    await floor.hire(release(), code_version="old", beat_every_s=0.05)
    canary = await floor.hire(release(), code_version="new", beat_every_s=0.05)
    canary.scope.cancel()

    async def is_old() -> bool:
        return (await floor.broker.registry.types(DEFAULT_TENANT))["one"].code_version == "old"

    await wait_until(is_old, "the older registration is back")


async def test_a_registry_that_was_lost_is_back_at_the_next_heartbeat(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was: a worker has one start, or two releases would take turns at being the newest."""
    monkeypatch.setattr("millstream_workers.registrar.REGISTER_EVERY_BEATS", 1_000_000)
    hired = await floor.hire(release(), beat_every_s=0.05)
    first = await info_of(floor, hired.name)
    await floor.broker.client.delete(*floor.broker.keys.fleet_keys)

    async def is_back() -> bool:
        return "one" in await floor.broker.registry.types(DEFAULT_TENANT)

    await wait_until(is_back, "its types are known again")
    assert (await info_of(floor, hired.name)).started_at == first.started_at
    assert await floor.broker.client.zcard(floor.broker.keys.starts) == 1
