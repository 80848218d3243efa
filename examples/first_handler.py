"""A first handler, and a program that submits jobs for it: docs/handlers/first-handler.md.

Run the system with `millstream up first_handler:app` in this folder, and then `python first_handler.py`.
"""

import asyncio
from datetime import timedelta

from msgspec import Struct

from millstream import App, Client, Context, SyncContext

app = App("orders")


class Order(Struct):
    """What `order.charge` takes."""

    id: int
    customer: str
    total: float


class Receipt(Struct):
    """What `order.charge` gives."""

    order_id: int
    amount: float


@app.job("order.charge", timeout=timedelta(seconds=30))
async def charge(order: Order, ctx: Context) -> Receipt:
    """Charge an order, and have it archived."""
    ctx.log.info("charging", order_id=order.id)
    await ctx.submit(archive, order)
    return Receipt(order.id, order.total)


@app.job("order.archive")
def archive(order: Order, ctx: SyncContext) -> int:
    """Keep a copy. A plain function runs in a thread."""
    ctx.progress(50, "half of it")
    return order.id


async def main(client: Client) -> Receipt:
    """Submit an order, and wait for its receipt."""
    job = await client.submit(charge, Order(7, "ann", 19.9), priority="high")
    receipt = await job.result(timeout=30)
    print(f"{receipt.amount} for order {receipt.order_id}")
    return receipt


async def charge_all(client: Client, orders: list[Order]) -> list[str]:
    """Have many orders charged, and return the ids of their jobs."""
    receipt = await client.submit_many(charge, orders, priority="low", idempotency_key="orders-of-november")
    for item in receipt.items:
        if item.problem is not None:
            print(f"order {orders[item.index].id} is refused: {item.problem.detail}")
    return [item.id for item in receipt.items if item.id is not None]


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
