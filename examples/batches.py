"""Jobs that are followed together: docs/handlers/batches.md.

Run the system with `millstream up batches:app` in this folder, and then `python batches.py`.
"""

import asyncio

from millstream import App, BatchHandle, BatchState, Client, Context, Dead, MemberState, NewJob

app = App("library")


@app.job("shelf.scan")
async def scan(shelf: str, ctx: Context) -> int:
    """Read the books of a shelf, each by a job of its own that belongs to the same batch."""
    books = [f"{shelf}{number}" for number in range(1, 4)]
    await ctx.batch.submit_many(read_book, books, idempotency_key="books")
    return len(books)


@app.job("book.read")
async def read_book(book: str) -> str:
    """Read one book."""
    if book == "b2":
        raise Dead("the pages stick together")
    return f"read {book}"


@app.job("library.report")
async def report(title: str, ctx: Context) -> str:
    """Say what became of the members of a batch."""
    batch = ctx.fired_batch
    assert batch is not None
    counts = " and ".join(f"{number} {state}" for state, number in sorted(batch.counts.items()))
    return f"{title} of {batch.name}: {counts}"


async def followed(client: Client) -> object:
    """Submit books one by one, and have a report once all of them have been read."""
    async with client.batch("new-books", on_success=NewJob(report, "report")) as batch:
        await batch.submit(read_book, "a1")
        await batch.submit_many(read_book, ["a2", "a3"])
    await batch.wait(timeout=30)
    return await reported(client, batch)


async def in_one_request(client: Client) -> list[object]:
    """Submit shelves whose jobs add their books; one of the books cannot be read."""
    shelves = [NewJob(scan, "a"), NewJob(scan, "b")]
    batch = await client.submit_batch("inventory", shelves, on_complete=NewJob(report, "inventory"))
    found = await batch.wait(timeout=30)
    assert found.state is BatchState.STALLED
    dead = [member.job for member in await batch.jobs(MemberState.DEAD)]
    return [await reported(client, batch), len(dead)]


async def reported(client: Client, batch: BatchHandle) -> object:
    """Return what the callback of a batch has returned."""
    [callback] = (await batch.status()).callbacks.values()
    return await client.job(report, callback.job).result(timeout=30)


async def main(client: Client) -> list[object]:
    """Run each of the above."""
    results = [await followed(client), *await in_one_request(client)]
    print(*results, sep="\n")
    return results


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
