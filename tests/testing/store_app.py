"""An app as users write them, whose jobs the tests of the kit run."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from millstream import App, Context, DeadJob, Discard, Retry, Snooze, SyncContext, contract


@dataclass
class Pool:
    """The state of the app."""

    url: str = "db://test"
    rows: list[str] = field(default_factory=list)
    is_open: bool = True


@dataclass
class Order:
    """A payload."""

    id: int
    customer: str = "ann"


@dataclass
class Receipt:
    """A result."""

    order_id: int
    attempts: int


opened: list[Pool] = []
"""The states that the lifespan has yielded."""


@asynccontextmanager
async def lifespan() -> AsyncGenerator[Pool]:
    """Open the state."""
    pool = Pool("db://shop")
    opened.append(pool)
    yield pool
    pool.is_open = False


app = App("shop", lifespan=lifespan)
mail = App("mail")


@contract("tax.compute")
def tax(order: Order) -> float:
    """Is handled elsewhere."""


@mail.job("mail.send")
async def send_mail(text: str, ctx: Context[Pool]) -> None:
    """Send a mail."""
    ctx.state.rows.append(f"mail {text}")


@app.job("order.archive")
def archive(order: Order, ctx: SyncContext[Pool]) -> int:
    """Run in a thread."""
    ctx.state.rows.append(f"archived {order.id} fence {ctx.fence}")
    return order.id


@app.job("order.archive-and-wait")
def wait_for_archive(order: Order, ctx: SyncContext[Pool]) -> int:
    """Wait for a child in a thread."""
    return ctx.submit(archive, order).result()


@app.job("death.note")
async def note_death(dead: DeadJob, ctx: Context[Pool]) -> None:
    """Take dead letters."""
    ctx.state.rows.append(f"dead {dead.type} {dead.payload['id']}")


@app.job("order.charge", timeout=30, retry=Retry(delays=[1, 10, 60], dead_on=(KeyError,)), on_dead=note_death)
async def charge(order: Order, ctx: Context[Pool]) -> Receipt:
    """Fail as often as the id of the order says."""
    ctx.progress(50, "half")
    if order.id == 404:
        raise KeyError("no such order")
    if ctx.attempt <= order.id:
        raise ConnectionError(f"attempt {ctx.attempt}")
    await ctx.submit(archive, order, tags={"from": "charge"})
    return Receipt(order.id, ctx.attempt)


@app.job("order.remind")
async def remind(order: Order, ctx: Context[Pool]) -> None:
    """Submit a child for much later."""
    await send_mail.submit(f"reminder {order.id}", delay=86_400)


@app.job("order.wait", timeout=30, retry=Retry(max_attempts=1))
async def wait_for_ever() -> None:
    """Hang."""
    await anyio.sleep_forever()


@app.job("order.later")
async def later(order: Order, ctx: Context[Pool]) -> str:
    """Snooze until the second delivery, or discard the job."""
    if order.id == 0:
        raise Discard("nothing to do")
    if ctx.fence == 1:
        raise Snooze(3600)
    return f"delivery {ctx.fence}, attempt {ctx.attempt}"


@app.job("hash.compute", isolation="process")
def compute(text: str) -> str:
    """Run in a process."""
    return text.upper()


app.include(mail)
