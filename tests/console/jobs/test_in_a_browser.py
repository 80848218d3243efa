"""What the script of the page of jobs does, in a real browser over a whole system."""

from urllib.parse import parse_qs, urlsplit

import pytest
from anyio import Event
from console.browsing import THEMES, Chromium
from console.test_every_page import faults_of
from console.town import Town
from playwright.async_api import Route, expect

from millstream_console.pages.job.profile import LOOKS


async def test_a_query_is_completed(town: Town, chromium: Chromium) -> None:
    """Tab takes what is marked, in the place that is typed in; Escape closes the list; Enter searches."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs")
        await page.keyboard.press("/")
        await page.keyboard.type("type:town.die state:de")
        await expect(page.locator("#hints [role=option] mark").first).to_have_text("de")
        await tab.press("ArrowDown", "Tab")
        await expect(page.locator("#q")).to_have_value("type:town.die state:dead ")
        await tab.press("Escape")
        await expect(page.locator("#hints")).to_be_hidden()
        await tab.press("Enter")
        await page.wait_for_url("**/jobs?q=*")
        assert parse_qs(urlsplit(page.url).query)["q"] == ["type:town.die state:dead "]
        assert tab.complaints == []


async def test_completions_stay_closed(town: Town, chromium: Chromium) -> None:
    """Completions that arrive after Escape do not open what was closed."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs")
        await page.keyboard.press("/")
        await expect(page.locator("#hints")).to_be_visible()
        asked, released = Event(), Event()

        async def hold(route: Route) -> None:
            asked.set()
            await released.wait()
            await route.continue_()

        await page.route("**/hints.json?q=s*", hold)
        await page.keyboard.type("s")
        await asked.wait()
        await tab.press("Escape")
        released.set()
        # Answered after the one that was held.
        await page.evaluate("fetch('/jobs/hints.json?q=s&at=1').then((answer) => answer.text())")
        await expect(page.locator("#hints")).to_be_hidden()


async def test_what_is_wrong_in_a_query_is_selected(town: Town, chromium: Chromium) -> None:
    """The next key replaces the wrong word, and no list covers what is said about it."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs?q=state:failed%20type:town.die")
        await expect(page.locator("#q")).to_be_focused()
        await expect(page.locator("#hints")).to_be_hidden()
        await page.keyboard.type("dead")
        await expect(page.locator("#q")).to_have_value("state:dead type:town.die")
        assert tab.complaints == []


async def test_rows_are_selected_by_keys_a_page_and_all_that_match(town: Town, chromium: Chromium) -> None:
    """`x` selects a row and `X` a range; the head selects the page, and then all that match can be; Escape drops it."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs")
        bar, count = page.locator(".bulk"), page.locator("[data-selected]")
        await expect(bar).to_be_hidden()
        await tab.press("j", "x", "j", "j", "X")
        await expect(bar).to_be_visible()
        await expect(count).to_have_text("3")
        await expect(page.locator("[data-match]")).to_be_hidden()
        await page.locator("[data-all]").check()
        await expect(count).to_have_text("50")
        await page.locator("[data-match]").click()
        await expect(page.locator("[data-scope]")).to_have_text("selected, all that match")
        await expect(page.locator("input[name=scope]")).to_have_value("match")
        assert await tab.violations() == []
        await page.locator("td input[name=id]").first.uncheck()
        await expect(page.locator("input[name=scope]")).to_have_value("page")
        await tab.press("Escape")
        await expect(bar).to_be_hidden()
        assert tab.complaints == []


async def test_a_number_opens_the_button_of_a_decision(town: Town, chromium: Chromium) -> None:
    """Rows that are selected lead to a page that says what would happen, and the way out leads back to them."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs?q=state:dead%20type:town.die")
        await tab.press("j", "x", "r")
        await expect(page.locator("h1")).to_have_text("Redrive 1 job?")
        assert await tab.violations() == []
        await page.get_by_text("Not now").click()
        await page.wait_for_url("**/jobs?q=state:dead%20type:town.die")
        assert tab.complaints == []


async def test_a_search_is_saved_and_forgotten(town: Town, chromium: Chromium) -> None:
    """A saved search is a tab with its name, here and on the next page, until it is forgotten."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs?q=type:town.die")
        await page.get_by_text("+ Save this search").click()
        await page.keyboard.type("<b>Mine</b>")
        await tab.press("Enter")
        await expect(page.locator("#searches [aria-current]")).to_have_text("<b>Mine</b>")
        await tab.open("/jobs")
        await page.locator("#searches").get_by_text("<b>Mine</b>").click()
        await page.get_by_text("Forget this search").click()
        await expect(page.locator("#searches")).not_to_contain_text("Mine")
        assert await tab.violations() == []
        assert tab.complaints == []


async def test_facets_come_once_they_are_counted(town: Town, chromium: Chromium) -> None:
    """The jobs are there at once; what they have in common follows, and narrows the search."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs?q=type:town.*")
        await page.locator(".facet").locator("a[title=dead]").click()
        await page.wait_for_url("**/jobs?q=*dead")
        await expect(page.locator("#live_facets")).to_contain_text("dead")
        assert await tab.violations() == []
        assert tab.complaints == []


async def test_new_jobs_wait_until_they_are_asked_for(town: Town, chromium: Chromium) -> None:
    """Rows stay where they are; a line says how many new jobs match, and `n` shows them."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/jobs?q=type:town.succeed%20tag.news:yes")
        await tab.live()
        await expect(page.locator("[data-fresh]")).to_be_hidden()
        async with town.client() as client:
            await client.submit("town.succeed", {"n": 1}, tags={"news": "yes"})
        await expect(page.locator("[data-fresh]")).to_have_text("1 new job matches. Show it")
        assert await page.locator("tr[data-id]").count() == 0
        await tab.press("n")
        await expect(page.locator("tr[data-id]")).to_have_count(1)
        assert tab.complaints == []


async def test_a_job_that_moves_is_followed(town: Town, chromium: Chromium) -> None:
    """The page of an open job shows that it was cancelled by another, without a reload."""
    async with town.client() as client:
        job = await client.submit("town.succeed", {"n": 1}, delay=3600)
        async with chromium.tab(town.url) as tab:
            page = await tab.open(f"/jobs/{job.id}")
            await tab.live()
            await expect(page.locator("#live_why")).to_contain_text("It is not due yet")
            await client.cancel(job.id)
            await expect(page.locator("#live_state")).to_contain_text("cancelled")
            await expect(page.locator("#live_why")).to_contain_text("It was cancelled")
            await expect(page.locator("[data-act=cancel]")).to_have_count(0)
            assert await tab.violations() == []
            assert tab.complaints == []


async def test_a_group_is_redriven_from_its_dialog(town: Town, chromium: Chromium) -> None:
    """The dialog has the arithmetic of its rate, is sound by itself, and leads to the operation."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/errors")
        await page.get_by_text("HostileError").first.click()
        await page.wait_for_url("**/errors/group*")
        await tab.live()
        await tab.press("r")
        dialog = page.locator("dialog#redrive")
        await expect(dialog).to_be_visible()
        await dialog.locator("[name=rate]").fill("2")
        await expect(dialog.locator("[data-takes]")).to_contain_text("jobs at 2/s take")
        assert await tab.violations() == []
        await dialog.locator("[name=canary]").fill("1")
        await dialog.locator("button.go").click()
        await page.wait_for_url("**/operations/op_*")
        await expect(page.locator(".toast")).to_contain_text("Its canary has started")
        assert tab.complaints == []


@pytest.mark.parametrize("theme", THEMES)
async def test_pages_that_are_not_kept_fresh_are_sound(town: Town, chromium: Chromium, theme: str) -> None:
    """Forms and what is read once hold to the same rules as every page, at every width."""
    paths = [
        "/jobs/new",
        "/jobs/{dead}/edit",
        "/jobs/{dead}/copy",
        "/jobs/{running}/stack",
        "/jobs/{running}/stack?looks=many",
        "/decide?id={dead}",
    ]
    paths += ["/decide?decision=export&scope=match&frozen=state:dead", "/decide?decision=erase&id={dead}"]
    paths += ["/decide?decision=patch&scope=match&frozen=state:dead", "/decide?decision=cancel&id={scheduled}"]
    found = {}
    async with chromium.tab(town.url, theme=theme) as tab:
        for path in paths:
            page = await tab.open(path.format(**town.jobs))
            # A rule of the style for empty parts must not take texts with it.
            assert await page.locator("main p:not(:visible):not(dialog p)").all_text_contents() == []
            if faults := [fault async for fault in faults_of(tab)]:
                found[path] = faults
    assert found == {}


async def test_a_running_job_tells_where_its_time_goes(town: Town, chromium: Chromium) -> None:
    """The looks at a handler that stands still are all in one line of its code, which is named with its function."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open(f"/jobs/{town.jobs['running']}/stack")
        await page.get_by_role("link", name=f"Look {LOOKS} times").click()
        await expect(page.get_by_role("heading", name="Where its time goes")).to_be_visible()
        await expect(page.locator("main")).to_contain_text("It was in one place at every look")
        row = page.locator("tbody tr")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text("townsfolk.py")
        assert tab.complaints == []


async def test_log_lines_are_shown_and_inert(town: Town, chromium: Chromium) -> None:
    """The lines of a failed attempt unfold below it, with hostile texts as texts and secrets as dots."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open(f"/jobs/{town.jobs['dead']}")
        await page.locator(".try[open] .fold > summary", has_text="log line").click()
        lines = page.locator(".try[open] .logs")
        await expect(lines).to_contain_text("<script>window.hacked=1</script>")
        await expect(lines).to_contain_text("password=••••••")
        await expect(lines).not_to_contain_text("hunter2")
        assert await page.evaluate("window.hacked") is None
        assert await tab.violations() == []
        assert tab.complaints == []
