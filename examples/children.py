"""Jobs that submit jobs: docs/handlers/children.md.

Run the system with `millstream up children:app` in this folder, and then `python children.py`.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from millstream import App, Client, Context, InvalidError, JobRef, Retry, SyncContext, SyncJobHandle

app = App("shop")


class Basket(Struct):
    """What `basket.order` takes."""

    id: int
    items: list[str]


class Placed(Struct):
    """What `basket.order` gives."""

    payment: str
    parcels: int


@app.job("basket.pay")
async def pay(basket: Basket) -> str:
    """Take the money."""
    return f"paid order {basket.id}"


@app.job("item.pack")
def pack(item: str) -> int:
    """Pack an item. A plain function runs in a thread."""
    return len(item)


@app.job("basket.order", retry=Retry(delays=[0.1]))
async def place(basket: Basket, ctx: Context) -> Placed:
    """Have an order paid and packed: once each, however often this handler runs."""
    payment = await ctx.submit(pay, basket, idempotency_key="pay")
    parcels = await ctx.submit_many(pack, basket.items, priority="high", idempotency_key="pack")
    if ctx.attempt == 1:
        raise ConnectionError("the shop's database does not answer")
    return Placed(await payment.result(timeout=10), len(parcels))


# A `def` handler, and threads that it starts.


@app.job("report.write")
def write_report(names: list[str], ctx: SyncContext) -> int:
    """Have each name packed, from several threads."""

    def submit(name: str) -> SyncJobHandle[int]:
        return ctx.submit(pack, name)

    with ThreadPoolExecutor(4) as threads:
        jobs = list(threads.map(submit, names))
    return sum(job.result(timeout=10) for job in jobs)


# A handler in a process of its own submits through its worker.


@app.job("image.resize", isolation="process")
def resize(widths: list[int], ctx: SyncContext) -> list[str]:
    """Compute, and submit a job for each part."""
    return [job.status().type for job in ctx.submit_many(pack, [f"{width} px" for width in widths])]


# What the API would refuse raises what a client raises.

report = JobRef("report.monthly", takes=int)


@app.job("report.order")
async def order_report(month: int, ctx: Context) -> str:
    """Submit a job that no worker here handles."""
    try:
        job = await ctx.submit(report, month)
    except InvalidError as error:
        return f"refused: {error.problem.errors[0].pointer}"
    return job.id


# Instead of a wait: the last of the jobs submits what comes next.


@app.job("letter.label")
async def label(basket: Basket) -> None:
    """Print a label, and have the letter sent."""
    await send.submit(basket, delay=1)


@app.job("letter.send")
async def send(basket: Basket) -> str:
    """Send a letter."""
    return f"sent order {basket.id}"


async def main(client: Client) -> list[object]:
    """Run each of the handlers above that submit."""
    app.bind(client)
    placed = await place.submit(Basket(7, ["tea", "cup"]))
    written = await write_report.submit(["ann", "bob"])
    resized = await resize.submit([320, 640])
    ordered = await order_report.submit(5)
    results: Sequence[object] = [await job.result(timeout=60) for job in (placed, written, resized, ordered)]
    print("\n".join(map(str, results)))
    return list(results)


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
