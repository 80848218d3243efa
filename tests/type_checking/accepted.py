"""Uses of the SDK that type checkers have to accept, with the types that they have to find; it is never run."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type

from millstream import (
    App,
    Batch,
    BatchContext,
    BatchHandle,
    BatchStatus,
    Client,
    Context,
    CronContext,
    Dead,
    DeadJob,
    DeadLetter,
    FiredBatch,
    Handler,
    JobHandle,
    JobItem,
    JobRef,
    MemberState,
    NewJob,
    Node,
    Retry,
    Secret,
    Snooze,
    Steering,
    SyncBatch,
    SyncBatchHandle,
    SyncClient,
    SyncContext,
    SyncJobHandle,
    SyncWorkflowRun,
    Workflow,
    WorkflowRun,
    chain,
    contract,
)
from millstream_contracts import BatchReceipt, Job


@dataclass
class Order:
    """A payload."""

    id: int


@dataclass
class Receipt:
    """A result."""

    order_id: int
    total: float


class Pool:
    """A state."""


@asynccontextmanager
async def lifespan() -> AsyncGenerator[Pool]:
    """Open the state."""
    yield Pool()


@asynccontextmanager
async def lifespan_of_app(app: App[Any]) -> AsyncGenerator[Pool]:
    """Open the state of an app."""
    yield Pool()


app = App("shop", lifespan=lifespan)
assert_type(app, App[Pool])
assert_type(App("shop", lifespan=lifespan_of_app), App[Pool])
mail = App("mail", state_of=app)
assert_type(mail, App[Pool])
bare = App("bare")
assert_type(bare, App[None])
library: App[Pool] = App("library")
app.include(mail, library)


@app.job("order.charge", timeout=timedelta(seconds=30), retry=Retry(max_attempts=3))
async def charge(order: Order, ctx: Context[Pool]) -> Receipt:
    """Take a payload and the context."""
    assert_type(ctx.state, Pool)
    assert_type(await ctx.submit(archive, order, delay=timedelta(minutes=1)), JobHandle[int])
    assert_type(await ctx.submit(ping), JobHandle[str])
    assert_type(await ctx.submit("any.type", {"x": 1}), JobHandle[Any])
    assert_type(await ctx.submit_many(archive, [order]), list[JobHandle[int]])
    child = await ctx.submit(archive, order, idempotency_key="archive")
    assert_type(await child.result(), int)
    assert_type(await child.status(), Job)
    assert_type(await child.cancel(), Job)
    assert_type(await ctx.submit_many(archive, [order], idempotency_key="all", priority="low"), list[JobHandle[int]])
    assert_type(await archive.submit_many([order], idempotency_key="all"), BatchReceipt)
    return Receipt(order.id, 1.0)


@mail.job("order.archive")
def archive(order: Order, ctx: SyncContext[Pool]) -> int:
    """Block."""
    assert_type(ctx.submit(charge, order), SyncJobHandle[Receipt])
    assert_type(ctx.submit(ping), SyncJobHandle[str])
    assert_type(ctx.submit(charge, order, idempotency_key="charge").result(timeout=5), Receipt)
    assert_type(ctx.submit(charge, order).status(), Job)
    assert_type(ctx.submit_many(charge, [order], idempotency_key="all"), list[SyncJobHandle[Receipt]])
    assert_type(ctx.submit("any.type").result(), Any)
    ctx.progress(50, "half")
    return order.id


@library.job("ping")
async def ping() -> str:
    """Take nothing."""
    return "pong"


@app.job("double")
def double(number: int) -> int:
    """Take no context."""
    return 2 * number


@app.job("any.payload")
async def anything(payload: Any, ctx: Context) -> dict[str, Any]:
    """Take anything."""
    return {"payload": payload, "state": ctx.state}


@app.job("only.context")
async def only_context(_: None, ctx: Context[Pool]) -> None:
    """Take no payload, but the context."""


@app.job("of.two")
async def of_two(payload: int | str) -> None:
    """Take either of two types."""


class Declined(Dead):
    """A request with data of its own."""

    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


def decide(error: Exception, attempt: int) -> Steering | None:
    """Decide by the exception and the attempt."""
    return Snooze(timedelta(minutes=attempt)) if isinstance(error, ConnectionError) else None


Retry(delays=[1, timedelta(minutes=1)], dead_on=(ValueError, KeyError), discard_on=(LookupError,), decide=decide)
Retry(base=timedelta(seconds=1), cap=60, decide=lambda error, attempt: None)
Retry.after(timedelta(seconds=3))


@app.job("order.alarm")
async def alarm(letter: DeadLetter) -> None:
    """Take a dead letter."""


@app.job("order.refund")
async def refund(letter: DeadJob, ctx: Context[Pool]) -> None:
    """Take a dead letter with its payload."""
    assert_type(letter.reason, str)


@app.job("order.a", on_dead=alarm)
async def with_alarm(order: Order) -> None:
    """Have dead letters told of."""


@app.job("order.b", on_dead=refund)
async def with_refund(order: Order) -> None:
    """Have dead letters told of with their payload."""


@app.job("order.c", on_dead=JobRef("elsewhere", takes=DeadJob))
async def with_contract(order: Order) -> None:
    """Have dead letters told of in another code base."""


@app.cron("stock.nightly", "0 3 * * *", tz="Europe/Paris", missed="latest", overlap="skip", timeout=600)
async def nightly(ctx: CronContext[Pool]) -> int:
    """Run by a schedule."""
    assert_type(ctx.occasion, datetime)
    assert_type(ctx.schedule, str | None)
    assert_type(ctx.state, Pool)
    assert_type(await ctx.submit(ping), JobHandle[str])
    return 1


@bare.cron("often", timedelta(seconds=30), jitter=timedelta(seconds=5))
def often() -> None:
    """Run by a schedule, without a context."""


nightly_ref: JobRef[None, int] = nightly
charge.schedule("test-order", "*/5 * * * *", Order(1), tz="UTC", overlap="cancel-running")
ping.schedule("heartbeat", 10)


charging: Handler[Order, Receipt] = charge
reference: JobRef[Order, Receipt] = charge
pinging: JobRef[None, str] = ping
doubling: JobRef[int, int] = double


@contract("order.charge")
def charge_elsewhere(order: Order) -> Receipt:
    """Say what another code base handles."""
    raise NotImplementedError


@contract("ping")
def ping_elsewhere() -> str:
    """Say what another code base handles, without a payload."""
    raise NotImplementedError


assert_type(charge_elsewhere, JobRef[Order, Receipt])
assert_type(ping_elsewhere, JobRef[None, str])
assert_type(JobRef("order.charge", takes=Order, gives=Receipt), JobRef[Order, Receipt])
assert_type(JobRef("ping", gives=str), JobRef[None, str])
assert_type(JobRef("order.forget", takes=Order), JobRef[Order, None])


async def submit(client: Client, order: Order) -> None:
    """Submit what fits."""
    handle = await client.submit(charge, order, delay=60, priority="high", idempotency_key="order-1")
    assert_type(handle, JobHandle[Receipt])
    assert_type(await handle.result(), Receipt)
    assert_type(await client.submit(charge_elsewhere, order), JobHandle[Receipt])
    assert_type(await client.submit(ping), JobHandle[str])
    assert_type(await client.submit(only_context), JobHandle[None])
    assert_type(await client.submit(anything, {"x": 1}), JobHandle[dict[str, Any]])
    await client.submit(of_two, 3)
    await client.submit(of_two, "x")
    assert_type(await (await client.submit("any.type", {"x": 1})).result(), Any)
    assert_type(await (await client.submit("any.type", {"x": 1})).result(into=Receipt), Receipt)
    await client.submit_many(charge, [order], priority="low")
    await client.submit_many([NewJob(charge, order), NewJob("any.type", 3)])
    assert_type(await (await charge.submit(order)).result(), Receipt)
    assert_type(await ping.submit(), JobHandle[str])
    await charge.submit_many([order], tags={"from": "test"})
    assert_type(client.job(charge, "order.charge_00"), JobHandle[Receipt])
    assert_type(await client.result(charge, "order.charge_00"), Receipt)
    assert_type(await client.result("order.charge_00"), Any)
    assert_type(await client.result("order.charge_00", 5, into=Receipt), Receipt)
    app.bind(client)


def submit_sync(client: SyncClient, order: Order) -> None:
    """Submit what fits, without a loop."""
    assert_type(client.submit(charge, order), SyncJobHandle[Receipt])
    assert_type(client.submit(charge, order).result(), Receipt)
    assert_type(client.job(ping, "ping_00").result(), str)
    assert_type(client.result(charge, "order.charge_00"), Receipt)


async def call(order: Order, ctx: Context[Pool]) -> None:
    """Call handlers as the functions that they are."""
    assert_type(await charge(order, ctx), Receipt)
    assert_type(double(3), int)
    assert_type(await ping(), str)


async def test_handlers(order: Order) -> None:
    """Use the test kit."""
    async with app.testing(state=Pool()) as t:
        assert_type(t.context(), Context[Pool])
        assert_type(t.sync_context(attempt=2), SyncContext[Pool])
        assert_type(await charge(order, t.context()), Receipt)
        assert_type(await t.run(charge, order, delay=3), Receipt)
        assert_type(await t.run(ping), str)
        assert_type(await (await t.start(charge, order)).result(), Receipt)
        assert_type(t.submitted(charge)[0].payload, Order)
        t.stub(charge).raises(ValueError, times=2).returns(Receipt(1, 2.0))
        t.stub(charge).calls(lambda order: Receipt(order.id, 1.0))
        assert_type(t.state, Pool)
    async with App("bare").testing() as plain:
        assert_type(plain.state, None)


def test_handlers_sync(order: Order) -> None:
    """Use the test kit without a loop."""
    with app.testing_sync() as t:
        assert_type(t.run(charge, order), Receipt)
        assert_type(t.start(charge, order).result(), Receipt)
        assert_type(t.submitted(charge)[0].payload, Order)
        assert_type(t.client, SyncClient)


@contract("order.receipts")
def receipts(order: Order) -> list[Receipt]:
    """Say what another code base lists."""
    raise NotImplementedError


@contract("receipt.total")
def total(receipt: Receipt) -> float:
    """Say what another code base adds up."""
    raise NotImplementedError


@contract("receipt.mail")
def send_totals(totals: list[float]) -> None:
    """Say what another code base mails."""
    raise NotImplementedError


async def run_workflows(client: Client, sync: SyncClient, order: Order) -> None:
    """Hand results from node to node, each typed as what it will be."""
    flow = Workflow("orders", on_failure="cancel", retention=timedelta(hours=1))
    listed = flow.add("list", receipts, order, delay=3)
    assert_type(listed, Node[list[Receipt]])
    first = flow.add("first", total, listed.result[0])
    assert_type(first.result_or(None), float | None)
    totals = flow.map("total", total, over=listed.result, max_failures=1)
    assert_type(totals, Node[list[float]])
    flow.add("send", send_totals, totals.result, after=[first, "list"], optional=True)
    flow.add("any", "any.type", {"total": first.result})
    flow.returns(totals.result)
    assert_type(await client.run(flow), WorkflowRun)
    run = sync.run(chain(NewJob(receipts, order), "count", ping))
    assert_type(run, SyncWorkflowRun)
    assert_type(run.result(into=int), int)
    assert_type(run.job(first), SyncJobHandle[float])


async def run_batches(client: Client, sync: SyncClient, order: Order) -> None:
    """Submit members, each typed as what it will give, and read what became of the batch."""
    async with client.batch("orders", on_complete=ping, on_death=NewJob(charge, order), expires_in=60) as batch:
        assert_type(batch, BatchHandle)
        assert_type(await batch.submit(charge, order, priority="low"), JobHandle[Receipt])
        assert_type(await batch.submit_many(charge, [order]), BatchReceipt)
    assert_type(await batch.wait(timeout=3), BatchStatus)
    assert_type(await batch.counts(), dict[MemberState, int])
    with sync.batch("orders", on_success="any.type") as block:
        assert_type(block.submit(charge, order), SyncJobHandle[Receipt])
    made = sync.submit_batch("orders", [NewJob(charge, order)], retention=timedelta(hours=1))
    assert_type(made, SyncBatchHandle)


@app.job("order.add")
async def add(order: Order, ctx: Context[Pool]) -> None:
    """Add members to the batch of this job."""
    assert_type(await ctx.batch.submit(charge, order), JobHandle[Receipt])
    assert_type(await ctx.batch.submit_many(charge, [order]), list[JobHandle[Receipt]])
    assert_type(ctx.fired_batch, FiredBatch | None)


@app.job("order.add-all")
def add_all(order: Order, ctx: SyncContext[Pool]) -> None:
    """Do the same in a thread."""
    assert_type(ctx.batch.submit(charge, order), SyncJobHandle[Receipt])


@app.batch("event.index", size=500, wait=timedelta(milliseconds=200), timeout=30)
async def index(events: Batch[str, int], ctx: BatchContext[Pool]) -> None:
    """Index events: each job takes a text and gives a number."""
    assert_type(ctx.state, Pool)
    assert_type(events.payloads, list[str])
    for item in events:
        assert_type(item, JobItem[str, int])
        item.succeed(len(item.payload))
        item.fail(Snooze(30))
        assert_type(await item.submit(index, "child"), JobHandle[int])
    assert_type(events[0].payload, str)


@app.batch("event.count")
def count(events: SyncBatch[Order, None]) -> None:
    """Count events in a thread."""
    for item in events:
        assert_type(item.payload, Order)
        item.succeed()


async def submit_to_batch_handlers(client: Client) -> None:
    """Submit jobs of batch handlers one by one, as of any handler."""
    assert_type(await client.submit(index, "text"), JobHandle[int])
    assert_type(await index.submit("text"), JobHandle[int])
    assert_type(await client.submit(count, Order(1)), JobHandle[None])


@dataclass
class Login:
    """A payload with secrets."""

    user: str
    password: Secret[str]
    pins: list[Secret[int]]
    card: Secret[Order] | None = None


@app.job("login")
async def log_in(login: Login) -> Secret[str]:
    """Take a secret as what it is, and give one."""
    assert_type(login.password, str)
    assert_type(login.pins, list[int])
    assert_type(login.card, Order | None)
    return login.password.upper()


login_ref: JobRef[Login, str] = log_in
