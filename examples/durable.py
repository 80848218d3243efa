"""Handlers that go on where they were: docs/handlers/durable.md.

Run the system with `millstream up durable:app` in this folder, and then `python durable.py`.
"""

import asyncio
from datetime import timedelta

from msgspec import Struct

from millstream import App, Client, DurableContext, Retry, Signal, SyncDurableContext

app = App("bookshop")


class Purchase(Struct):
    """What a customer wants."""

    book: str
    price: int


class Receipt(Struct):
    """What was paid."""

    number: str
    paid: int


class Approval(Struct):
    """Who has looked at a large purchase, and what came of it."""

    by: str
    granted: bool


approved = Signal("approved", Approval)
shop_log: list[str] = []


async def charge(purchase: Purchase, key: str) -> Receipt:
    """Have the customer pay; the other system takes the key, and so no second payment."""
    shop_log.append(f"charged for {purchase.book}")
    return Receipt(key, purchase.price)


def pack(purchase: Purchase) -> str:
    """Put a book into a box."""
    shop_log.append(f"packed {purchase.book}")
    return f"a box with {purchase.book}"


@app.job("book.order", retry=Retry(base=0.1))
async def order(purchase: Purchase, ctx: DurableContext) -> str:
    """Sell a book: each step is taken once, however often the handler begins."""
    receipt = await ctx.step("charge", charge, purchase, ctx.step_key("charge"))
    if ctx.attempt == 1:
        raise ConnectionError("the warehouse does not answer")
    box = await ctx.step("pack", pack, purchase)
    await ctx.sleep("until the van comes", seconds=0.2)
    return f"{box} for {receipt.paid}"


@app.job("book.order-large")
async def order_large(purchase: Purchase, ctx: DurableContext) -> str:
    """Wait until a person has looked at it: two days at most, and no worker is held."""
    decision = await ctx.wait_for(approved, timeout=timedelta(days=2), default=Approval("the clock", granted=False))
    if not decision.granted:
        return f"refused by {decision.by}"
    return await ctx.step("pack", pack, purchase)


@app.job("book.restock")
def restock(book: str, ctx: SyncDurableContext) -> str:
    """Do the same work in a thread."""
    box = ctx.step("pack", pack, Purchase(book, 0))
    ctx.sleep("rest", seconds=0.1)
    return f"{box}, in stock"


@app.job("book.bundle", retry=Retry(base=0.1))
async def bundle(books: list[str], ctx: DurableContext) -> list[str]:
    """Have other jobs do the work, and go on with their results: no worker is held meanwhile."""
    boxes = await ctx.map("each book", restock, books, at_once=10)
    return [*boxes, await ctx.call("and one more", restock, "a card")]


async def main(client: Client) -> list[str]:
    """Order books, and approve one order."""
    ordered = await client.submit(order, Purchase("Emma", 12))
    large = await client.submit(order_large, Purchase("an encyclopedia", 900))
    restocked = await client.submit(restock, "Ulysses")
    await large.signal(approved, Approval("ann", granted=True))
    bundled = await client.submit(bundle, ["Persuasion", "Evelina"])
    results = [await job.result(timeout=60) for job in (ordered, large, restocked)]
    results += await bundled.result(timeout=60)
    print("\n".join(results))
    return results


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
