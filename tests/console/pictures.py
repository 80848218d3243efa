"""Takes the pictures of docs/console.md from a running system: `make pictures`. It needs Chromium and PostgreSQL."""

import random
import tempfile
from pathlib import Path

import anyio
from console.browsing import Tab, open_chromium
from system.running import System, running_system
from waiting import wait_until

from millstream import Client, NewJob

FOLDER = Path(__file__).parents[2] / "docs" / "console"
MAILS, INVOICES, PICTURES = 600, 400, 120
CUSTOMERS = ("acme", "globex", "initech", "hooli")
SETTLED_S = 120.0
WIDE, PHONE = 1440, 390

PAGES = {
    "overview": ("/", WIDE, "light"),
    "jobs": ("/jobs?q=state%3Adead+type%3Aemail.*", WIDE, "light"),
    "job": ("/jobs/{dead}", WIDE, "dark"),
    "queue": ("/queues/email.send", WIDE, "light"),
    "errors": ("/errors", WIDE, "dark"),
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
        dead = await _populate(client)
        for name, (path, width, theme) in PAGES.items():
            async with browser.tab(system.console_url, width=width, theme=theme) as tab:
                await _picture(tab, name, path.format(dead=dead))


async def _picture(tab: Tab, name: str, path: str) -> None:
    page = await tab.open(path)
    await tab.live()
    await page.screenshot(path=FOLDER / f"{name}.png")


async def _populate(client: Client) -> str:
    """Submit the work of a day. Return the id of a job that has died."""
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
    return str(receipt.items[victim].id)


async def _is_done(client: Client, total: int) -> bool:
    queues = await client.queues()
    if any(sum(queue.queued.values()) or queue.running for queue in queues if queue.type != "report.close-of-day"):
        return False
    page = await client.jobs("", count=True)
    return page.count is not None and page.count.value >= total and not page.history_lag_s


if __name__ == "__main__":
    main()
