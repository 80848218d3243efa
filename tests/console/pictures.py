"""Takes the pictures of docs/console.md from a running system: `make pictures`. It needs Chromium and PostgreSQL."""

import random
import re
import tempfile
from pathlib import Path

import anyio
from console.browsing import Tab, open_chromium
from history_databases import execute
from system.running import System, running_system
from waiting import wait_until

from millstream import Client, NewJob, NodeState, Workflow

FOLDER = Path(__file__).parents[2] / "docs" / "console"
MAILS, INVOICES, PICTURES = 600, 400, 120
CUSTOMERS = ("acme", "globex", "initech", "hooli")
SETTLED_S = 120.0
WIDE, PHONE = 1440, 390

EARLIER = """
INSERT INTO stats_minutes (tenant, type, at, kind, bucket, shard, n, sum_ms)
SELECT tenant, type, date_trunc('minute', now()) - ago * interval '1 minute', kind, bucket, shard,
       ceil(share * sum(n))::bigint, ceil(share * sum(sum_ms))::bigint
FROM stats_minutes,
     LATERAL (SELECT ago, 0.6 + 0.25 * sin(ago / 7.0) + 0.1 * sin(ago * 2.4) AS share
              FROM generate_series(1, 60) AS ago) AS minutes
WHERE kind <> 'dead'
GROUP BY tenant, type, ago, share, kind, bucket, shard
ON CONFLICT DO NOTHING
"""
"""Statistics of an hour like this minute, busier and quieter by turns: charts of one minute show nothing."""

PAGES = {
    "overview": ("/", WIDE, "light"),
    "jobs": ("/jobs?q=state%3Adead+type%3Aemail.*", WIDE, "light"),
    "job": ("/jobs/{dead}", WIDE, "dark"),
    "queue": ("/queues/email.send", WIDE, "light"),
    "errors": ("/errors", WIDE, "dark"),
    "workflow": ("/workflows/{workflow}", WIDE, "light"),
    "system": ("/system", WIDE, "light"),
    "phone": ("/", PHONE, "dark"),
}
"""The path of each picture, the width of the window and the theme."""


def main() -> None:
    """Run the shop, let it work, and take the pictures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_system(Path(folder), apps=("console.shop:app",), embeds_history=True, has_console=True) as system,
    ):
        anyio.run(_take, system)


async def _take(system: System) -> None:
    async with system.client() as client, open_chromium() as browser:
        shown = await _populate(client)
        shown["workflow"] = await _run_workflow(client)
        await _tell_of_an_hour(system)
        for name, (path, width, theme) in PAGES.items():
            async with browser.tab(system.console_url, width=width, theme=theme) as tab:
                await _picture(tab, name, path.format_map(shown))


async def _picture(tab: Tab, name: str, path: str) -> None:
    page = await tab.open(path)
    await tab.live()
    await page.screenshot(path=FOLDER / f"{name}.png")


async def _populate(client: Client) -> dict[str, str]:
    """Submit the work of a day. Return the id of a job that has died, as `dead`."""
    dice = random.Random(3)
    customers = [dice.choice(CUSTOMERS) for _ in range(MAILS)]
    mails = [
        NewJob("email.send", {"invoice_id": 4_000 + n, "to": f"{one}@example.com"}, tags={"customer": one})
        for n, one in enumerate(customers)
    ]
    invoices = [NewJob("invoice.render", 4_000 + n, priority="high") for n in range(INVOICES)]
    pictures = [
        NewJob("image.resize", {"height": 600} if n % 17 == 0 else {"height": 600, "width": 800})
        for n in range(PICTURES)
    ]
    later = [NewJob("invoice.render", 9_000 + n, delay=3600) for n in range(40)]
    await client.submit("report.close-of-day", "2026-11-26")
    receipt = await client.submit_many([*mails, *invoices, *pictures, *later])
    await wait_until(lambda: _is_done(client, len(receipt.items) + 1), "the work is done", SETTLED_S)
    victim = customers.index("acme")
    return {"dead": str(receipt.items[victim].id)}


async def _run_workflow(client: Client) -> str:
    """Run a workflow of which one branch is under way. Return its id."""
    flow = Workflow("month.close")
    invoices = [flow.add(f"invoice-{n}", "invoice.render", 4_000 + n) for n in range(1, 5)]
    sheet = flow.add("balance-sheet", "report.close-of-day", "2026-11", after=invoices)
    picture = flow.add("chart", "image.resize", {"height": 600, "width": 800}, after=invoices[:2])
    flow.add("to-owner", "email.send", {"invoice_id": 4_001, "to": "owner@example.com"}, after=[sheet, picture])
    run = await client.run(flow)

    async def is_at_the_sheet() -> bool:
        nodes = {node.name: node.state for node in (await client.workflow_nodes(run.id)).nodes}
        return (nodes["balance-sheet"], nodes["chart"]) == (NodeState.STARTED, NodeState.SUCCEEDED)

    await wait_until(is_at_the_sheet, "the balance sheet is being made", SETTLED_S)
    return str(run.id)


async def _tell_of_an_hour(system: System) -> None:
    """Have the history count the work of an hour, so that charts have something to show."""
    await execute(re.search(r"postgresql\S+", system.banner)[0], EARLIER)


async def _is_done(client: Client, total: int) -> bool:
    queues = await client.queues()
    if any(sum(queue.queued.values()) or queue.running for queue in queues if queue.type != "report.close-of-day"):
        return False
    page = await client.jobs("", count=True)
    return page.count is not None and page.count.value >= total and not page.history_lag_s


if __name__ == "__main__":
    main()
