"""A worker registers its types, and its heartbeat tells what it runs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest
from chaos.fault_proxy import FaultProxy
from waiting import wait_until
from workers.floor import Floor, queue_of_type

from millstream import App, Context, Retry
from millstream_contracts import DEFAULT_TENANT, Queue, QueueLimits, WorkerInfo
from millstream_streams import Registry, Start, open_broker
from millstream_workers.registrar import REGISTER_EVERY_BEATS, Registrar
from millstream_workers.serving import Served


class Invoice(msgspec.Struct):
    """A payload with a required field."""

    invoice_id: int
    email: str = ""


def careless() -> App:
    """Return an app whose handler does not declare its payload."""
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
    """A worker registers each type with its schemas, its policy, its description and the place of its code."""
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
    """A handler that does not declare its payload registers no schema, and ingest refuses nothing."""
    await floor.hire(careless())
    found = (await floor.broker.registry.types(DEFAULT_TENANT))["anything"]
    assert (found.payload_schema, found.result_schema) == (None, None)


async def test_a_worker_is_on_the_list_with_what_it_runs(floor: Floor) -> None:
    """A worker is on the list with its name, slots, version, and its running jobs with their start times."""
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
    """A heartbeat lists only the longest-running jobs, and the number of all."""
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
    begun_at = {one.id: one.begun_at for one in hired.worker.parts.pipeline.running()}
    assert [job.id for job in info.running] == sorted(begun_at, key=begun_at.__getitem__)[:100]
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
    """The registration of the worker that started last counts, however often an older one registers again."""
    monkeypatch.setattr("millstream_workers.registrar.REGISTER_EVERY_BEATS", 1)
    old = await floor.hire(release(), code_version="old", beat_every_s=0.02)
    await floor.hire(release(), code_version="new", beat_every_s=0.02)
    seen = (await info_of(floor, old.name)).seen_at

    async def has_registered_again() -> bool:
        return (await info_of(floor, old.name)).seen_at > seen + timedelta(seconds=0.2)

    await wait_until(has_registered_again, "the older worker has registered again")
    assert (await floor.broker.registry.types(DEFAULT_TENANT))["one"].code_version == "new"


async def test_the_registration_of_a_killed_worker_ends(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a killed canary, the registration of the older release counts again."""
    monkeypatch.setattr("millstream_workers.registrar.COUNTS_FOR_AT_LEAST_S", 2.0)
    await floor.hire(release(), code_version="old", beat_every_s=0.05)
    canary = await floor.hire(release(), code_version="new", beat_every_s=0.05)
    canary.scope.cancel()

    async def is_old() -> bool:
        return (await floor.broker.registry.types(DEFAULT_TENANT))["one"].code_version == "old"

    await wait_until(is_old, "the older registration is back")


async def test_a_registry_that_was_lost_is_back_at_the_next_heartbeat(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost registry is back at the next heartbeat, with the start time that each worker had."""
    monkeypatch.setattr("millstream_workers.registrar.REGISTER_EVERY_BEATS", 1_000_000)
    hired = await floor.hire(release(), beat_every_s=0.05)
    first = await info_of(floor, hired.name)
    await floor.broker.client.delete(*floor.broker.keys.fleet_keys)

    async def is_back() -> bool:
        return "one" in await floor.broker.registry.types(DEFAULT_TENANT)

    await wait_until(is_back, "its types are known again")
    assert (await info_of(floor, hired.name)).started_at == first.started_at
    assert await floor.broker.client.zcard(floor.broker.keys.starts) == 1


class WatchedRegistry:
    """A registry that records how often and with what it was called."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.registered = 0
        self.beats: list[tuple[timedelta, bool]] = []

    async def add_queues(self, queues: Sequence[Queue]) -> None:
        """Register queues."""
        await self._registry.add_queues(queues)

    async def add_types(self, *args: Any, **options: Any) -> Start:
        """Register types."""
        self.registered += 1
        return await self._registry.add_types(*args, **options)

    async def beat(self, worker: WorkerInfo, start: Start, *, alive_for: timedelta, is_leaving: bool) -> bool:
        """Record the heartbeat of a worker."""
        self.beats.append((alive_for, is_leaving))
        return await self._registry.beat(worker, start, alive_for=alive_for, is_leaving=is_leaving)


def registrar_of(floor: Floor, registry: Any, *, interval_s: float = 2.0, handlers: Any = None) -> Registrar:
    """Return a registrar without its worker."""
    return Registrar(
        registry,
        floor.broker.settings,
        floor.broker.budgets,
        name="host:1:me",
        served=Served(),
        handlers=handlers or release().handlers,
        queues=[queue_of_type("one")],
        concurrency=1,
        running=list,
        interval_s=interval_s,
        code_version="1",
        release="1.2.3",
    )


async def test_a_worker_declares_the_limits_of_its_handlers(floor: Floor) -> None:
    """Before it takes a job a worker has its queues limited as its handlers say; one without takes that back."""
    queue, handlers = queue_of_type("one"), release().handlers
    for declared in (QueueLimits(concurrency=2), None):
        handlers[queue.type].limits = declared
        registrar = registrar_of(floor, floor.broker.registry, handlers=handlers)
        await registrar.register()
        assert (await floor.broker.settings.read(queue)).limits == declared


async def test_a_worker_registers_again_now_and_then(floor: Floor) -> None:
    """A worker registers again every few beats, which restores what a newer worker took with it."""
    watched = WatchedRegistry(floor.broker.registry)
    heart = registrar_of(floor, watched)
    for _ in range(2 * REGISTER_EVERY_BEATS + 1):
        await heart.run_once()
    assert watched.registered == 3


async def test_a_worker_that_drains_registers_nothing_any_more(floor: Floor) -> None:
    """A worker that drains does not register again, so that ingest accepts nothing new for it."""
    watched = WatchedRegistry(floor.broker.registry)
    heart = registrar_of(floor, watched)
    await heart.run_once()
    heart.drain()
    for _ in range(2 * REGISTER_EVERY_BEATS):
        await heart.run_once()
    assert watched.registered == 1


@pytest.mark.parametrize(
    ("interval_s", "alive_s", "leaving_s"), [(2.0, 12.0, 6.0), (0.1, 5.0, 5.0)], ids=["by beats", "at least"]
)
async def test_a_registration_counts_for_some_beats_and_for_seconds_at_least(
    floor: Floor, interval_s: float, alive_s: float, leaving_s: float
) -> None:
    """A registration counts for some beats, for fewer once its worker drains, and for some seconds at the least."""
    watched = WatchedRegistry(floor.broker.registry)
    heart = registrar_of(floor, watched, interval_s=interval_s)
    await heart.run_once()
    heart.drain()
    await heart.run_once()
    assert watched.beats == [(timedelta(seconds=alive_s), False), (timedelta(seconds=leaving_s), True)]


async def test_a_worker_says_at_once_that_it_drains(floor: Floor) -> None:
    """A worker that begins to drain sends a heartbeat at once, also when the next one is minutes away."""
    app, go = App("test"), anyio.Event()

    @app.job("one")
    async def one() -> None:
        await go.wait()

    hired = await floor.hire(app, beat_every_s=600.0, grace_s=600.0)
    await floor.submit("one")
    await wait_until(hired.worker.parts.pipeline.running, "it runs")
    hired.orders.stop.set()

    async def is_draining() -> bool:
        return (await info_of(floor, hired.name)).state == "draining"

    await wait_until(is_draining, "it is shown as draining")
    go.set()


async def test_a_worker_that_leaves_waits_for_no_registry_that_says_nothing(
    floor: Floor, link: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that leaves does not wait for a registry that does not respond; a reaper takes it off the list."""
    monkeypatch.setattr("millstream_workers.registrar.LEAVE_WITHIN_S", 0.05)
    async with open_broker(link.url, namespace=floor.broker.keys.namespace) as remote:
        heart = registrar_of(floor, remote.registry)
        await heart.run_once()
        link.swallow()
        with anyio.fail_after(20.0):
            await heart.leave()
        link.cut()
        link.heal()
