"""The app whose jobs run both in the test kit and in real workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio

from millstream import App, Context, Dead, DeadJob, Discard, Retry, RetryAfter, Snooze, SyncContext, Unique

app = App("trade")
ran: list[str] = []
"""The notes of `note`, in the order in which its jobs have run."""


@dataclass
class Order:
    """A payload."""

    id: int
    customer: str = "ann"


@dataclass
class Receipt:
    """A result."""

    order_id: int
    attempt: int


@app.job("echo")
async def echo(order: Order, ctx: Context) -> Receipt:
    """Succeed, with progress."""
    ctx.progress(40, "nearly")
    return Receipt(order.id, ctx.attempt)


@app.job("echo.thread")
def echo_in_thread(order: Order, ctx: SyncContext) -> str:
    """Do so in a thread, with a child."""
    return ctx.submit(note, f"child of {order.id}").id


@app.job("note")
async def note(text: str) -> None:
    """Note that it has run."""
    ran.append(text)


@app.job("fails", retry=Retry(delays=[60, timedelta(hours=1)], dead_on=(KeyError,), discard_on=(LookupError,)))
async def fails(order: Order, ctx: Context) -> Receipt:
    """Fail as often as the order says, or by the exception that its customer names."""
    if order.customer == "key":
        raise KeyError("no such order")
    if order.customer == "index":
        raise IndexError("out of range")
    if ctx.attempt <= order.id:
        raise ConnectionError(f"attempt {ctx.attempt} of {order.customer}")
    return Receipt(order.id, ctx.attempt)


@app.job("steered", retry=Retry(max_attempts=2))
async def steered(kind: str, ctx: Context) -> str:
    """Request an outcome at the first delivery."""
    if ctx.fence == 1:
        requests: dict[str, Exception] = {
            "snooze": Snooze(3600),
            "retry": RetryAfter(7200),
            "discard": Discard("not wanted"),
            "dead": Dead("needs attention"),
        }
        raise requests[kind]
    return f"attempt {ctx.attempt} of delivery {ctx.fence}"


@app.job("wrong")
async def wrong(result: Any) -> list[int]:
    """Return what it is not annotated with."""
    returned: list[int] = result
    return returned


@app.job("letters")
async def take_letter(dead: DeadJob) -> None:
    """Take dead letters."""
    ran.append(f"{dead.type} is dead of {dead.reason}: {dead.payload}")


@app.job("dies", retry=Retry(max_attempts=1), on_dead=take_letter)
async def dies(order: Order) -> None:
    """Fail for good."""
    raise ValueError(f"order {order.id}")


@app.job("parent")
async def parent(names: Sequence[str], ctx: Context) -> int:
    """Submit children in each way."""
    handles = await ctx.submit_many(note, names, tags={"from": "parent"})
    await ctx.submit("note", "late", delay=3600)
    await note.submit("first", priority="high")
    return len(handles)


@app.job("waits", retry=Retry(delays=[60]))
async def waits(order: Order, ctx: Context) -> str:
    """Submit children under keys, wait for one of them and cancel another; do so again in the second attempt."""
    child = await ctx.submit(echo, order, idempotency_key="child")
    batch = await ctx.submit_many(note, ["a", "a", "b"], delay=3600, idempotency_key="batch")
    receipt = await child.result(timeout=20)
    if ctx.attempt == 1:
        raise ConnectionError(child.id)
    cancelled = await batch[0].cancel()
    return f"{child.id} {receipt.attempt} {cancelled.state}"


@app.job("waits.thread")
def wait_in_thread(order: Order, ctx: SyncContext) -> int:
    """Wait for a child in a thread."""
    return ctx.submit(echo, order).result(timeout=20).order_id


@app.job("hang", timeout=0.2, retry=Retry(max_attempts=1))
async def hang() -> None:
    """Reach the timeout."""
    await anyio.sleep_forever()


@app.job("hang.long")
async def hang_long(order: Order, ctx: Context) -> None:
    """Run until it is stopped."""
    await anyio.sleep_forever()


@app.job("invoice", unique=Unique("id", on_conflict="reject"))
async def invoice(order: Order) -> int:
    """Send the invoice of an order, one at a time."""
    return order.id
