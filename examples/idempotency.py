"""Effects that happen once, however often a job runs: docs/handlers/idempotency.md.

Run the system with `millstream up idempotency:app` in this folder, and then `python idempotency.py`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from msgspec import Struct

from millstream import App, Client, Retry, SyncContext


class Ledger:
    """A database of bookings and of reports; SQLite stands for yours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(self.connect()) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS booking (job_id TEXT PRIMARY KEY, account TEXT, cents INT)")
            database.execute("CREATE TABLE IF NOT EXISTS report (job_id TEXT PRIMARY KEY, fence INT, text TEXT)")

    def connect(self) -> sqlite3.Connection:
        """Open a connection, for the thread that asks."""
        return sqlite3.connect(self.path, timeout=30)


@asynccontextmanager
async def lifespan() -> AsyncGenerator[Ledger]:
    """Open the ledger in the folder of the worker."""
    yield Ledger(Path("ledger.db"))


app = App("ledger", lifespan=lifespan)


class Booking(Struct):
    """What `ledger.book` takes."""

    account: str
    cents: int


@app.job("ledger.book", retry=Retry(delays=[0.1]))
def book(booking: Booking, ctx: SyncContext[Ledger]) -> int:
    """Book an amount once, and give what this job has booked."""
    with closing(ctx.state.connect()) as database, database:
        database.execute(
            "INSERT INTO booking VALUES (?, ?, ?) ON CONFLICT (job_id) DO NOTHING",
            (ctx.job_id, booking.account, booking.cents),
        )
    if ctx.attempt == 1:
        raise ConnectionError("the connection broke after the commit")
    with closing(ctx.state.connect()) as database:
        (booked,) = database.execute("SELECT sum(cents) FROM booking WHERE job_id = ?", (ctx.job_id,)).fetchone()
    return int(booked)


# A resource that refuses a worker that lost its job.


def write_report(ledger: Ledger, job_id: str, fence: int, text: str) -> bool:
    """Write a report, unless a later delivery of its job has written it. Return whether it was written."""
    with closing(ledger.connect()) as database, database:
        written = database.execute(
            "INSERT INTO report VALUES (?, ?, ?) ON CONFLICT (job_id) DO UPDATE "
            "SET fence = excluded.fence, text = excluded.text WHERE fence <= excluded.fence",
            (job_id, fence, text),
        )
    return written.rowcount == 1


@app.job("ledger.report")
def report(account: str, ctx: SyncContext[Ledger]) -> list[bool]:
    """Write a report, as this worker and as one that was frozen since an earlier delivery."""
    now = write_report(ctx.state, ctx.job_id, ctx.fence, f"report on {account}")
    late = write_report(ctx.state, ctx.job_id, ctx.fence - 1, "an old report")
    return [now, late]


async def main(client: Client) -> list[object]:
    """Book once in two attempts, submit one job twice, and write a report late."""
    job = await client.submit(book, Booking("ann", 1990))
    booked = await job.result(timeout=30)
    key = f"report-after-{job.id}"
    reports = [await client.submit(report, "ann", idempotency_key=key) for _ in range(2)]
    told: list[object] = [booked, reports[0].id == reports[1].id, await reports[0].result(timeout=30)]
    print(told)
    return told


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
