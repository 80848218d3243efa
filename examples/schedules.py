"""Jobs that run by the clock: docs/handlers/schedules.md.

Run the system with `millstream up schedules:app` in this folder, and then `python schedules.py`.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from millstream import App, Client, CronContext, NewJob

app = App("shop")


@dataclass
class Report:
    """What a report is about."""

    region: str


@app.cron("stock.nightly", "0 3 * * *", tz="Europe/Paris", overlap="skip")
async def count_stock(ctx: CronContext) -> str:
    """Count what is there. `ctx.occasion` is three o'clock, however late the job is."""
    return f"stock of {ctx.occasion:%A}, counted for {ctx.occasion:%H:%M}"


@app.cron("stock.heartbeat", timedelta(minutes=10))
def send_heartbeat() -> None:
    """Say that the shop is alive."""


@app.job("report.regional")
async def write_report(report: Report) -> str:
    """Write a report."""
    return f"report of {report.region}"


# Several schedules of one handler, each with a payload.
write_report.schedule("report.europe", "30 6 * * mon", Report("Europe"), tz="Europe/Paris")
write_report.schedule("report.americas", "30 6 * * mon", Report("Americas"), tz="America/New_York", missed="all")


async def put_and_run(client: Client) -> list[str]:
    """Put a schedule over the API, see when it is due, and have it run now."""
    job = NewJob(write_report, Report("Asia"))
    await client.put_schedule("report.asia", "30 6 * * mon", job, tz="Asia/Tokyo", jitter=timedelta(minutes=5))
    first, *_ = await client.next_occasions("report.asia")
    made = await client.run_schedule("report.asia")
    result = await client.result(write_report, made.job)
    return [f"{first.nominal:%A %H:%M} in UTC", result]


@pytest.mark.anyio
async def test_nightly() -> None:
    """The test kit lets schedules fire when the test moves the clock."""
    async with app.testing(now=datetime(2026, 3, 28, tzinfo=UTC)) as t:
        await t.advance(hours=2, minutes=30)
        (job,) = t.submitted(count_stock)
        assert await t.client.result(count_stock, job.id) == "stock of Saturday, counted for 03:00"
        await t.advance(days=7)
        assert len(t.submitted(count_stock)) == 8


async def main(client: Client) -> list[str]:
    """Put a schedule beside those of the code."""
    told = await put_and_run(client)
    print("\n".join(told))
    return told


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
