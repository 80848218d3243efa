"""Uses of the SDK that type checkers have to refuse: each line with `# refused` at its end, and no other.

`test_type_checkers.py` has mypy and basedpyright read this file; it is never run.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from millstream import (
    App,
    Batch,
    BatchContext,
    Client,
    Context,
    CronContext,
    JobRef,
    NewJob,
    Retry,
    Secret,
    Snooze,
    SyncClient,
    SyncContext,
    Workflow,
    contract,
)


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

    async def fetch(self) -> list[int]:
        """Return rows."""
        return []


@asynccontextmanager
async def lifespan() -> AsyncGenerator[Pool]:
    """Open the state."""
    yield Pool()


app = App("shop", lifespan=lifespan)
mail = App("mail", state_of=app)
bare = App("bare")


@app.job("order.charge")
async def charge(order: Order, ctx: Context[Pool]) -> Receipt:
    """Take a payload and the context, and give a result."""
    return Receipt(order.id, float(len(await ctx.state.fetch())))


@app.job("order.archive")
def archive(order: Order, ctx: SyncContext[Pool]) -> int:
    """Block."""
    ctx.submit(charge, 3)  # refused
    ctx.submit(ping, "x")  # refused
    ctx.submit(charge, order, idempotency_key=3)  # refused
    charge.submit(order)  # refused
    text: str = ctx.submit(charge, order).result()  # refused
    _ = (text,)
    return order.id


@app.job("ping")
async def ping() -> str:
    """Take nothing."""
    return "pong"


@app.cron("stock.nightly", "0 3 * * *")
async def nightly(ctx: CronContext[Pool]) -> int:
    """Run by a schedule."""
    occasion: str = ctx.occasion  # refused
    _ = occasion
    return 1


# What a schedule calls takes no payload, and its options are known.


@app.cron("bad.payload", "@daily")  # refused
async def bad_payload(order: Order, ctx: CronContext[Pool]) -> None:
    """Take a payload."""


@app.cron("bad.context", "@daily")  # refused
async def bad_context(ctx: CronContext[int]) -> None:
    """Take the context of another state."""


@app.cron("bad.overlap", "@daily", overlap="maybe")  # refused
async def bad_overlap() -> None:
    """Have an overlap that is none."""


@app.cron("bad.when", None)  # refused
async def bad_when() -> None:
    """Have no time."""


@app.job("bad.cron")  # refused
async def bad_cron(order: Order, ctx: CronContext[Pool]) -> None:
    """Take the context of schedules."""


charge.schedule("bad", "*/5 * * * *", 42)  # refused
charge.schedule("bad", "*/5 * * * *")  # refused
charge.schedule("bad", "*/5 * * * *", Order(1), missed="never")  # refused
nightly.schedule("bad", "*/5 * * * *", Order(1))  # refused


# The state of an app, and the kind of a function, decide which context a handler takes.


@app.job("bad.state")  # refused
async def bad_state(order: Order, ctx: Context[int]) -> None:
    """Take the context of another state."""


@mail.job("bad.shared")  # refused
async def bad_shared(order: Order, ctx: Context[str]) -> None:
    """Take the context of another state than that of the app whose state is shared."""


@bare.job("bad.bare")  # refused
async def bad_bare(order: Order, ctx: Context[Pool]) -> None:
    """Take a state that the app has not."""


@app.job("bad.awaiting")  # refused
def bad_awaiting(order: Order, ctx: Context[Pool]) -> None:
    """Take a context whose calls are awaited."""


@app.job("bad.third")  # refused
async def bad_third(order: Order, ctx: Context[Pool], more: int) -> None:
    """Take more than a payload and a context."""


# Options.


@app.job("bad.option", timout=3)  # refused
async def bad_option(order: Order) -> None:
    """Have an option that there is not."""


@app.job("bad.timeout", timeout="30s")  # refused
async def bad_timeout(order: Order) -> None:
    """Have an option of another type."""


@app.job("bad.isolation", isolation="fiber")  # refused
async def bad_isolation(order: Order) -> None:
    """Have an option of another value."""


@app.job("bad.retry", retry=3)  # refused
async def bad_retry(order: Order) -> None:
    """Have a number in place of a Retry."""


Retry(backoff="cubic")  # refused
Retry(base="1s")  # refused
Retry(delays=["1s"])  # refused
Retry(dead_on=(int,))  # refused
Retry(dead_on=ValueError)  # refused
Retry(decide=lambda error, attempt: "soon")  # refused
Snooze("1m")  # refused


@app.job("bad.dead", on_dead=charge)  # refused
async def bad_dead(order: Order) -> None:
    """Name a handler that takes no dead letters."""


@contract("order.charge")
def charge_elsewhere(order: Order) -> Receipt:
    """Say what another code base handles."""
    raise NotImplementedError


charge_ref = JobRef("order.charge", takes=Order, gives=Receipt)


async def submit(client: Client, order: Order) -> None:
    """Submit what does not fit."""
    await client.submit(charge, {"id": 1})  # refused
    await client.submit(charge)  # refused
    await client.submit(ping, "x")  # refused
    await client.submit(charge, order, dealy=3)  # refused
    await client.submit(charge, order, priority="urgent")  # refused
    await client.submit(charge, order, delay="1m")  # refused
    await client.submit(charge_elsewhere, 3)  # refused
    await client.submit(charge_ref, 3)  # refused
    await client.submit_many(charge, [order, 3])  # refused
    await charge.submit("x")  # refused
    await charge.submit()  # refused
    await charge.submit_many(["x"])  # refused
    NewJob(charge, 3)  # refused
    receipt: str = await (await client.submit(charge, order)).result()  # refused
    number: str = await client.result(archive, "order.archive_00")  # refused
    text: int = await client.job(ping, "ping_00").result()  # refused
    other: int = await client.result("ping_00", into=str)  # refused
    await charge(order)  # refused
    archive("x", 3)  # refused
    _ = (
        receipt,
        number,
        text,
        other,
    )


def submit_sync(client: SyncClient, order: Order) -> None:
    """Submit what does not fit, without a loop."""
    app.bind(client)  # refused
    client.submit(charge, 3)  # refused
    receipt: str = client.submit(charge, order).result()  # refused
    _ = (receipt,)


@app.job("parent")
async def parent(order: Order, ctx: Context[Pool]) -> None:
    """Submit children that do not fit."""
    await ctx.submit(charge, 3)  # refused
    await ctx.submit_many(charge, [3])  # refused
    await ctx.submit(charge, order, idempotency=1)  # refused
    await ctx.submit(charge, order, idempotency_key=1)  # refused
    await ctx.submit_many(charge, [order], idempotency_key=1)  # refused
    ctx.submit(charge, order)  # refused
    text: str = await (await ctx.submit(charge, order)).result()  # refused
    _ = (text,)
    rows: list[str] = await ctx.state.fetch()  # refused
    _ = (rows,)


async def test_handlers(order: Order) -> None:
    """Misuse the test kit."""
    app.testing(state=3)  # refused
    app.testing(allow_deed=True)  # refused
    async with app.testing() as t:
        await t.run(charge)  # refused
        await t.run(charge, 3)  # refused
        await t.run(charge, order, dealy=3)  # refused
        t.context(attempts=3)  # refused
        t.stub(charge).returns(3)  # refused
        t.stub(charge).calls(lambda order: order.id)  # refused
        t.crash(charge, at="middle")  # refused
        await t.advance(weeks=3)  # refused


def build(order: Order) -> None:
    """Hand results to nodes that take others."""
    flow = Workflow("orders", on_failure="stop")  # refused
    charged = flow.add("charge", charge, order)
    flow.add("charge", charge, 3)  # refused
    flow.add("archive", archive, charged.result)  # refused
    flow.add("archive", archive, order, dealy=3)  # refused
    flow.map("archive", archive, over=[3])  # refused
    flow.add("archive", archive)  # refused


async def fill(client: Client, order: Order, ctx: Context[Pool]) -> None:
    """Submit members that take other payloads, and callbacks that need one."""
    client.batch("orders", on_success=charge)  # refused
    async with client.batch("orders") as batch:
        await batch.submit(charge, 3)  # refused
        await batch.submit(charge, order, dealy=3)  # refused
    await ctx.batch.submit(charge, 3)  # refused
    await client.submit_batch("orders", [charge])  # refused


@app.batch("event.index")
async def index(events: Batch[str, int]) -> None:
    """Give each job a number."""
    events[0].succeed("one")  # refused
    events[0].succeed()  # refused
    events[0].fail("an error")  # refused
    await index.submit(1)  # refused


@app.batch("event.state")  # refused
async def with_state(events: Batch[str, int], ctx: BatchContext[Order]) -> None:
    """Want another state than the lifespan yields."""


@app.batch("event.plain")  # refused
async def no_batch(text: str) -> None:
    """Take no batch."""


@dataclass
class Login:
    """A payload with a secret."""

    password: Secret[str]


Login(password=1)  # refused
Login(password="x").password.reveal()  # refused
