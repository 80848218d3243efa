"""A worker takes the jobs of the tenants that it serves, and a handler acts for the tenant of its job alone."""

import msgspec
import pytest
from streams.seeds import job_of
from waiting import wait_until
from workers.floor import Floor

from millstream import App, Context
from millstream.errors import JobNotFoundError
from millstream.jobs.submitter import current_submitter
from millstream_contracts import DEFAULT_TENANT, JobId, JobSpec, JobState, JobType, Queue, Tenant, new_job_id, queue_of
from millstream_streams import NewJob, Registry
from millstream_workers.fetching import partition_finder
from millstream_workers.settings import WorkerSettings

ACME, GLOBEX = Tenant("acme"), Tenant("globex")

app = App("tenants")
told: list[str] = []


@app.job("tenant.child")
def child() -> None:
    """Do nothing."""


@app.job("tenant.parent", partitions=2)
async def parent(payload: str, ctx: Context) -> str:
    """Make a child, and look for a job by its id."""
    made = await ctx.submit("tenant.child", idempotency_key="child")
    try:
        await current_submitter.get().get(payload)
        told.append("seen")
    except JobNotFoundError:
        told.append("not there")
    return made.id


async def submit(floor: Floor, tenant: Tenant, payload: str = "") -> tuple[Queue, JobId]:
    """Store a job of a tenant."""
    queue = Queue(tenant, JobType("tenant.parent"), 1)
    await floor.broker.registry.add_queues([queue])
    spec = JobSpec(payload=msgspec.Raw(msgspec.msgpack.encode(payload)), created_at_ms=1)
    job_id = new_job_id(queue)
    await floor.broker.store.enqueue(queue, [NewJob(id=job_id, spec=msgspec.msgpack.encode(spec))])
    return queue, job_id


async def until_succeeded(floor: Floor, queue: Queue, job_id: JobId) -> object:
    """Return the result of a job once it has succeeded."""

    async def is_there() -> bool:
        return (await job_of(floor.broker, queue, job_id)).state is JobState.SUCCEEDED

    await wait_until(is_there, "the job has succeeded")
    return (await job_of(floor.broker, queue, job_id)).result


async def test_worker_takes_jobs_of_tenants_that_come_later(floor: Floor):
    """A worker of every tenant runs the jobs of one that was not there when it started, and children are its jobs."""
    await floor.hire(app)
    own_queue, own = await submit(floor, Tenant("default"), "tenant.child_00")
    await until_succeeded(floor, own_queue, own)
    told.clear()
    queue, job_id = await submit(floor, ACME, own)
    made = JobId(str(await until_succeeded(floor, queue, job_id)))
    assert told == ["not there"]
    of_child = queue_of(ACME, made)
    assert of_child is not None
    await until_succeeded(floor, of_child, made)
    assert Queue(ACME, JobType("tenant.parent"), 0) in await floor.broker.registry.queues(ACME)


async def test_worker_of_named_tenants_takes_no_other_jobs(floor: Floor):
    """A worker that serves some tenants leaves the jobs of all others, and says which tenants it serves."""
    hired = await floor.hire(app, tenants=("acme",))
    others, other = await submit(floor, GLOBEX)
    queue, job_id = await submit(floor, ACME)
    await until_succeeded(floor, queue, job_id)
    [worker] = [one for one in await floor.broker.registry.workers() if one.name == hired.name]
    assert worker.tenants == ["acme"]
    assert list(await floor.broker.registry.types(GLOBEX)) == []
    assert (await job_of(floor.broker, others, other)).state is JobState.QUEUED


@pytest.mark.parametrize(("tenants", "named"), [((), ()), (("all",), ()), (("acme", "b"), ("acme", "b"))])
def test_settings_say_whom_a_worker_serves(tenants: tuple[str, ...], named: tuple[str, ...]):
    """Without names, or with `all`, a worker serves every tenant."""
    assert WorkerSettings(tenants=tenants).served.named == named


async def test_worker_gives_up_queues_that_rest_and_runs_the_job_that_wakes_one(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
):
    """A dormant queue is in no read of a worker, and its next job is run all the same; those of its own tenant stay."""
    monkeypatch.setattr(partition_finder, "READ_EVERY_S", 0.0)
    hired = await floor.hire(app)
    fetcher = hired.worker.parts.fetcher
    queue, job_id = await submit(floor, ACME, "tenant.child_00")
    await until_succeeded(floor, queue, job_id)
    registry = floor.broker.registry
    await registry.rest_queues(await registry.queues(), floor.broker.clock.now_ms())
    await wait_until(lambda: {one.tenant for one in fetcher.queues} == {DEFAULT_TENANT}, "the queues are given up")
    queue, job_id = await submit(floor, ACME, "tenant.child_00")
    await until_succeeded(floor, queue, job_id)
    assert queue in fetcher.queues


async def test_worker_hears_of_a_queue_that_is_new(floor: Floor, monkeypatch: pytest.MonkeyPatch):
    """A worker takes up a queue by its hint, where it sees neither that there is one more nor which there are."""

    async def count_queues(_: Registry) -> int:
        return 1

    monkeypatch.setattr(Registry, "count_queues", count_queues)
    monkeypatch.setattr(partition_finder, "READ_EVERY_S", 3600.0)
    hired = await floor.hire(app)
    own, job_id = await submit(floor, DEFAULT_TENANT, "tenant.child_00")
    await until_succeeded(floor, own, job_id)
    queue, job_id = await submit(floor, ACME, "tenant.child_00")
    await until_succeeded(floor, queue, job_id)
    assert queue in hired.worker.parts.fetcher.queues
