"""Tests of handlers, without a server: docs/handlers/testing.md.

Run it with `pytest testing.py -o millstream_app=testing:app` in this folder.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from millstream import App, Client, Context, JobFailedError, Retry, SyncClient, SyncContext, contract
from millstream.testing import SyncTesting, Testing


@dataclass
class Order:
    """What the shop sells."""

    id: int
    customer: str


@dataclass
class Receipt:
    """What the bank gives for it."""

    order_id: int
    total: float


@dataclass
class Shelves:
    """What handlers share."""

    orders: list[int] = field(default_factory=list[int])


@asynccontextmanager
async def lifespan() -> AsyncGenerator[Shelves]:
    """Open what tests do without."""
    raise ConnectionRefusedError("there is no database here")
    yield Shelves()


app = App("shop", lifespan=lifespan)


@contract("tax.compute")
def tax(order: Order) -> float:
    """Compute a tax; another code base does it."""
    raise NotImplementedError


@app.job("order.archive")
def archive(order: Order, ctx: SyncContext[Shelves]) -> int:
    """Keep an order, once, however often the job is delivered."""
    if order.id not in ctx.state.orders:
        ctx.state.orders.append(order.id)
    return len(ctx.state.orders)


@app.job("order.remind")
async def remind(order: Order) -> str:
    """Write to a customer."""
    return f"{order.customer}, you have not paid order {order.id}"


@app.job("order.charge", timeout=timedelta(seconds=30), retry=Retry(delays=[1, 10, 60], dead_on=(ValueError,)))
async def charge(order: Order, ctx: Context[Shelves]) -> Receipt:
    """Charge an order, and have it archived and followed up."""
    if not order.customer:
        raise ValueError("an order without a customer")
    await ctx.submit(archive, order)
    await ctx.submit(remind, order, delay=timedelta(days=3))
    return Receipt(order.id, total=9.5)


async def place_order(client: Client, order: Order) -> str:
    """Do what a web handler does: submit a job and answer with its id."""
    return (await client.submit(charge, order, priority="high")).id


def place_order_sync(client: SyncClient, order: Order) -> Receipt:
    """Do the same in a web framework without an event loop, and wait."""
    return client.submit(charge, order).result()


@pytest.fixture
def anyio_backend() -> str:
    """Run the async tests on asyncio, by the plugin of anyio."""
    return "asyncio"


@pytest.mark.anyio
async def test_the_function_itself() -> None:
    """A handler is a function: a test calls it with a context, and looks at what it has submitted."""
    order = Order(7, "ann")
    async with app.testing(state=Shelves()) as t:
        assert await charge(order, t.context(attempt=3)) == Receipt(7, total=9.5)
        assert [one.payload for one in t.submitted(archive)] == [order]


@pytest.mark.anyio
async def test_a_job_from_its_submission_to_its_result() -> None:
    """`run` takes the way of a job: codec, schema, retries and children. The retries take no real time."""
    async with app.testing(state=Shelves()) as t:
        t.stub(charge).raises(ConnectionError("the bank is away"), times=2)
        assert await t.run(charge, Order(7, "ann")) == Receipt(7, total=9.5)
        assert t.state.orders == [7]


@pytest.mark.anyio
async def test_a_job_that_dies() -> None:
    """A job that ends without success raises, and the cause is what its handler raised."""
    async with app.testing(state=Shelves()) as t:
        with pytest.raises(JobFailedError, match="without a customer") as failed:
            await t.run(charge, Order(7, ""))
        assert isinstance(failed.value.__cause__, ValueError)
        assert failed.value.job.attempts == 1


@pytest.mark.anyio
async def test_time() -> None:
    """Time passes when the test says so: in three days the reminder runs."""
    async with app.testing(state=Shelves()) as t:
        await t.run(charge, Order(7, "ann"))
        (reminder,) = t.submitted(remind)
        assert reminder.run_at == t.now + timedelta(days=3)
        await t.advance(days=3)
        assert await t.client.result(remind, reminder.id) == "ann, you have not paid order 7"


@pytest.mark.anyio
async def test_a_rate() -> None:
    """A type that may start once an hour runs one job now, and the next in an hour."""
    async with app.testing(state=Shelves()) as t:
        await t.client.limit_queue("order.archive", rate="1/h")
        for number in (1, 2):
            await t.client.submit(archive, Order(number, "ann"))
        await t.run_ready()
        assert [one.state for one in t.submitted(archive)] == ["succeeded", "queued"]
        await t.advance(hours=1)
        assert [one.state for one in t.submitted(archive)] == ["succeeded", "succeeded"]


@pytest.mark.anyio
async def test_other_services() -> None:
    """What another code base handles is stubbed by its contract."""
    async with app.testing(state=Shelves()) as t:
        t.stub(tax).calls(lambda order: order.id * 0.5)
        assert await t.run(tax, Order(8, "ann")) == 4.0
        t.stub(charge).times_out(times=1).returns(Receipt(1, total=2.0))
        assert await t.run(charge, Order(1, "ann")) == Receipt(1, total=2.0)


@pytest.mark.anyio
async def test_crashes_and_duplicates() -> None:
    """A worker may vanish after the handler has run, and two workers may run one job: the order is archived once."""
    order = Order(7, "ann")
    async with app.testing(state=Shelves()) as t:
        with t.crash(archive):
            assert await t.run(archive, order) == 1
        with t.deliver_twice(archive):
            assert await t.run(archive, order) == 1


@pytest.mark.anyio
async def test_a_handler_that_hangs() -> None:
    """A started job runs while the test goes on."""
    async with app.testing(state=Shelves()) as t:
        t.stub(charge).times_out()
        job = await t.start(charge, Order(7, "ann"))
        await t.advance(minutes=2)
        with pytest.raises(JobFailedError, match="longer than 30 s"):
            await job.result()


# By the plugin for pytest.


@pytest.fixture
def jobs_state() -> Shelves:
    """Give the handlers this state in each test that uses `jobs`."""
    return Shelves()


@pytest.mark.anyio
async def test_a_web_handler(jobs: Testing[Shelves]) -> None:
    """`jobs` is a kit that is open around the test."""
    job_id = await place_order(jobs.client, Order(7, "ann"))
    assert [one.payload.customer for one in jobs.submitted(charge)] == ["ann"]
    assert await jobs.client.result(charge, job_id) == Receipt(7, total=9.5)


def test_a_view_of_django_or_flask(jobs: SyncTesting[Shelves]) -> None:
    """In a plain test, `jobs` is the kit whose calls block."""
    assert place_order_sync(jobs.client, Order(7, "ann")) == Receipt(7, total=9.5)
    assert jobs.run(archive, Order(8, "bob")) == 2


@pytest.mark.millstream(allow_dead=True)
def test_that_leaves_a_dead_job(jobs: SyncTesting[Shelves]) -> None:
    """Without the marker it would fail: nothing has looked at the dead job."""
    jobs.client.submit(charge, Order(7, ""))
    jobs.run_ready()
