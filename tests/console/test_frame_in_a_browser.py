"""The frame of every page in a real browser: palette, keys, themes, freshness over restarts, costs of a first page."""

import os
import signal
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx2
import pytest
from anyio import Event
from console.browsing import Chromium
from console.town import Town
from playwright.async_api import Page, Route, expect

MAX_FIRST_PAGE_BYTES = 120_000
"""HTML, styles and scripts over the wire."""
MAX_REQUESTS = 7
"""Page, style, three scripts, icons and the mark: nothing else, and the stream beside them."""


async def test_palette_leads_to_pages_types_and_jobs(town: Town, chromium: Chromium) -> None:
    """Ctrl K, some letters, Enter; a pasted id leads to its job."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/")
        await tab.press("Control+k")
        await expect(page.locator("#palette input")).to_be_focused()
        await page.keyboard.type("queues")
        await expect(page.locator("#palette-list [aria-selected=true]")).to_contain_text("Queues")
        await tab.press("Enter")
        await page.wait_for_url("**/queues")
        await tab.press("Control+k")
        await page.keyboard.type("town.die")
        await expect(page.locator("#palette-list [aria-selected=true]")).to_contain_text("town.die")
        await tab.press("Enter")
        await page.wait_for_url("**/queues/town.die")
        await tab.press("Control+k")
        await page.keyboard.type(town.jobs["dead"])
        await expect(page.locator("#palette-list [aria-selected=true]")).to_contain_text("Job")
        await tab.press("Enter")
        await page.wait_for_url(f"**/jobs/{town.jobs['dead']}")
        await tab.press("Control+k", "Escape")
        await expect(page.locator("#palette")).to_be_hidden()
        assert tab.complaints == []


async def test_keys_lead_to_pages_and_are_dead_where_a_person_writes(town: Town, chromium: Chromium) -> None:
    """`g` and a letter opens a page, `?` the list of keys; in a field they are letters."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/")
        await tab.press("g", "q")
        await page.wait_for_url("**/queues")
        await tab.press("?")
        await expect(page.locator("#keys")).to_be_visible()
        assert await tab.violations() == []
        await tab.press("Escape", "/")
        await expect(page.locator(".search input")).to_be_focused()
        await tab.press("g", "j", "?")
        await expect(page.locator("#keys")).to_be_hidden()
        assert await page.locator(".search input").input_value() == "gj?"
        await page.locator(".search input").blur()
        await tab.press("j")
        await expect(page.locator("tr.at a").first).to_be_focused()
        await tab.press("Enter")
        await page.wait_for_url("**/queues/*")


async def test_theme_stays_on_the_next_page(town: Town, chromium: Chromium) -> None:
    """What a person has chosen holds for all pages, whatever the system prefers."""
    async with chromium.tab(town.url, theme="light") as tab:
        page = await tab.open("/")
        await page.get_by_role("button", name="Dark").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await tab.open("/queues")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
        await page.get_by_role("button", name="As the system").click()
        await tab.open("/")
        assert await page.locator("html").get_attribute("data-theme") is None


@pytest.mark.parametrize("path", ["/", "/jobs/{dead}"])
async def test_moments_are_shown_in_utc_or_as_here(town: Town, chromium: Chromium, path: str) -> None:
    """`u` writes moments of the clock, also those of charts, in the zone of the browser, as the next page does."""
    async with chromium.tab(town.url, timezone_id="Asia/Kolkata") as tab:
        page = await tab.open(path.format(**town.jobs))
        assert all(text == written(moment, text, UTC) for moment, text in await clocks_of(page))
        await tab.press("u")
        assert all(text == written(moment, text, KOLKATA) for moment, text in await clocks_of(page))
        # As a part of the page stands that was sent anew.
        await page.evaluate(
            "for (const time of document.querySelectorAll('#main [data-clock]')) time.textContent = '-'"
        )
        await expect(page.locator("[data-clock]").get_by_text("-", exact=True)).to_have_count(0)
        await tab.open(path.format(**town.jobs))
        assert all(text == written(moment, text, KOLKATA) for moment, text in await clocks_of(page))
        await page.get_by_role("button", name="Times in UTC").click()
        assert all(text == written(moment, text, UTC) for moment, text in await clocks_of(page))
        assert tab.complaints == []


KOLKATA = timezone(timedelta(hours=5, minutes=30))


async def clocks_of(page: Page) -> list[tuple[datetime, str]]:
    """Return the moments of the clock on a page, and how they are written."""
    found = await page.evaluate(
        "[...document.querySelectorAll('[data-clock]')].map((t) => [t.dateTime, t.textContent])"
    )
    assert found
    return [(datetime.fromisoformat(moment), text) for moment, text in found]


def written(moment: datetime, text: str, zone: timezone) -> str:
    """Return how a moment is to be written in a zone, where it was written with or without seconds."""
    here = moment.astimezone(zone)
    if text.count(":") == 1:
        return f"{here:%H:%M}"
    is_today = here.date() == datetime.now(zone).date()
    return f"{here:%H:%M:%S}" if is_today else f"{here:%Y-%m-%d %H:%M:%S}"


async def test_open_page_shows_what_happens_and_stands_still_when_it_is_told_to(town: Town, chromium: Chromium) -> None:
    """A job that comes is counted without a reload; `p` keeps the page as it is, and says so."""
    async with chromium.tab(town.url) as tab, town.client() as client:
        page = await tab.open("/queues/town.succeed")
        await tab.live()
        scheduled = page.locator(".kpis > div").filter(has_text="Scheduled").locator(".v")
        before = int(await scheduled.inner_text())
        await client.submit("town.succeed", {}, delay=3600)
        await expect(scheduled).to_have_text(str(before + 1))
        await tab.press("p")
        await expect(page.locator("[data-word]")).to_have_text("Paused")
        await client.submit("town.succeed", {}, delay=3600)
        await expect(page.locator("[data-age]")).to_contain_text("old")
        assert int(await scheduled.inner_text()) == before + 1
        await tab.press("p")
        await tab.live()
        await expect(scheduled).to_have_text(str(before + 2))


@pytest.mark.parametrize("service", ["console", "ingest"])
async def test_open_page_outlives_a_restart(town: Town, chromium: Chromium, service: str) -> None:
    """The page is fresh again by itself, with what happened meanwhile."""
    async with chromium.tab(town.url) as tab, town.client() as client:
        page = await tab.open("/queues/town.succeed")
        await tab.live()
        scheduled = page.locator(".kpis > div").filter(has_text="Scheduled").locator(".v")
        before = int(await scheduled.inner_text())
        os.kill(listener_on(port_of(service, town)), signal.SIGKILL)
        await client.submit("town.succeed", {}, delay=3600)
        await expect(scheduled).to_have_text(str(before + 1))
        await tab.live()


@pytest.mark.parametrize("refusal", ["reset", "unavailable"])
async def test_page_whose_first_stream_fails_is_kept_fresh(town: Town, chromium: Chromium, refusal: str) -> None:
    """The page asks for its stream again, and says meanwhile that it has none."""
    refused = Event()

    async def refuse(route: Route) -> None:
        if "text/event-stream" not in route.request.headers["accept"] or refused.is_set():
            return await route.continue_()
        refused.set()
        return await (route.abort("connectionreset") if refusal == "reset" else route.fulfill(status=503, body="busy"))

    async with chromium.tab(town.url) as tab:
        await tab.page.route("**/queues", refuse)
        page = await tab.open("/queues")
        await expect(page.locator("[data-word]")).to_have_text("Reconnecting")
        await tab.live()
        await expect(page).to_have_title("Queues · Millstream")


async def test_page_that_cannot_be_read_anew_says_how_old_it_is(town: Town, chromium: Chromium) -> None:
    """While ingest is silent the dot says so, with the age; the page stays, and is fresh again by itself."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/queues/town.succeed")
        await tab.live()
        ingest = listener_on(port_of("ingest", town))
        os.kill(ingest, signal.SIGSTOP)
        try:
            await expect(page.locator("[data-word]")).to_have_text("Reconnecting")
            await expect(page.locator("[data-age]")).to_contain_text("s old")
            await expect(page.locator("h1")).to_have_text("town.succeed")
        finally:
            os.kill(ingest, signal.SIGCONT)
        await expect(page.locator("[data-word]")).to_have_text("Live")


def port_of(service: str, town: Town) -> int:
    """Return where the console or ingest of this town listens."""
    return int((town.url if service == "console" else town.system.url).rpartition(":")[2])


def listener_on(port: int) -> int:
    """Return the process that listens on a port of this machine."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(file.readlink())
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            return int(file.parts[2])
    pytest.fail(f"nothing listens on {port}")


async def test_pages_are_read_and_searched_without_script(town: Town, chromium: Chromium) -> None:
    """All that is to be read is in the page, and forms lead to pages."""
    async with chromium.tab(town.url, java_script_enabled=False) as tab:
        page = await tab.open("/jobs")
        await page.locator("#q").fill("state:dead type:town.die")
        await tab.press("Enter")
        await page.wait_for_url("**/jobs?*")
        await expect(page.locator("tbody tr").first).to_contain_text("town.die")
        await page.locator("tbody tr a").first.click()
        await expect(page.locator("h1")).to_have_text("town.die")
        await expect(page.locator("#main")).to_contain_text("HostileError")


async def test_first_page_costs_what_it_may(town: Town, chromium: Chromium) -> None:
    """Few requests, one stream, and fewer bytes than a picture."""
    async with chromium.tab(town.url) as tab:
        await tab.open("/")
        await tab.live()
        urls = list(tab.requests)
    streams = [url for url in urls[1:] if url == urls[0]]
    files = sorted(set(urls))
    assert len(streams) == 1
    assert len(files) <= MAX_REQUESTS, files
    async with httpx2.AsyncClient(trust_env=False) as http:
        sizes = {}
        for url in files:
            async with http.stream("GET", url, headers={"accept-encoding": "gzip"}) as response:
                sizes[url] = sum([len(piece) async for piece in response.aiter_raw()])
    assert sum(sizes.values()) <= MAX_FIRST_PAGE_BYTES, sizes
