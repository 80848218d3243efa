"""What a running handler tells: docs/handlers/progress-and-logs.md.

Run the system with `millstream up progress_and_logs:app` in this folder, and then `python progress_and_logs.py`.
"""

import asyncio
import logging

import structlog

from millstream import App, Client, Context

app = App("imports")
library_log = logging.getLogger("csv_library")


@app.job("rows.import")
async def import_rows(rows: int, ctx: Context) -> int:
    """Import rows, and tell after each thousand."""
    ctx.log.info("importing", rows=rows)
    for done in range(0, rows, 1000):
        ctx.progress(100 * done / rows, f"{done:,} of {rows:,} rows")
        await asyncio.sleep(0.08)  # stands for the work
    ctx.progress(100, f"all {rows:,} rows")
    library_log.warning("%d rows had no city", 3)
    structlog.get_logger().info("imported")
    return rows


async def main(client: Client) -> tuple[int, str]:
    """Import rows, and show how far that is."""
    job = await client.submit(import_rows, 50_000)
    while not (now := await job.status()).state.is_settled:
        if now.progress:
            print(f"{now.progress.percent:3.0f} % {now.progress.note}")
        await asyncio.sleep(0.5)
    rows = await job.result()
    note = now.progress.note if now.progress else ""
    print(rows, note)
    return rows, note


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
