"""State that handlers share: docs/handlers/shared-state.md.

Run the system with `millstream up shared_state:app` in this folder, and then `python shared_state.py`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from millstream import App, Client, Context, SyncContext


class Pool:
    """Stands for the connections to a database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_open = True

    async def fetch(self, key: str) -> str:
        """Return a row."""
        return f"{key} of {self.url}"

    async def aclose(self) -> None:
        """Close the connections."""
        self.is_open = False


@asynccontextmanager
async def lifespan() -> AsyncGenerator[Pool]:
    """Open the pool when a worker starts, and close it when the worker leaves."""
    pool = Pool("db://shop")
    try:
        yield pool
    finally:
        await pool.aclose()


app = App("shop", lifespan=lifespan)


@app.job("stock.read")
async def read_stock(item: str, ctx: Context[Pool]) -> str:
    """Read a row. `ctx.state` is the pool."""
    return await ctx.state.fetch(item)


# An app that shares the pool of another one.
reports = App("reports", state_of=app)


@reports.job("stock.report")
def report_stock(item: str, ctx: SyncContext[Pool]) -> str:
    """Say whether the pool is open."""
    return f"{item}: {'open' if ctx.state.is_open else 'closed'}"


# A library that is written for any app with a pool: it has the state of the app that includes it.
audit: App[Pool] = App("audit")


@audit.job("stock.audit")
async def audit_stock(item: str, ctx: Context[Pool]) -> str:
    """Read a row by the pool of the shop."""
    return await ctx.state.fetch(f"audit of {item}")


app.include(reports, audit)


async def main(client: Client) -> list[str]:
    """Run a job of each app."""
    jobs = [await client.submit(handler, "tea") for handler in (read_stock, report_stock, audit_stock)]
    results = [await job.result(timeout=30) for job in jobs]
    print("\n".join(results))
    return results


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
