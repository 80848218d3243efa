"""The form for a schedule as a real browser shows it."""

import pytest
from console.browsing import NARROW, THEMES, Chromium
from console.town import Town
from playwright.async_api import expect


@pytest.mark.parametrize("theme", THEMES)
async def test_a_schedule_is_made_on_a_phone(town: Town, chromium: Chromium, theme: str) -> None:
    """The fields of the chosen kind are seen alone, what is wrong and what is shown is accessible, and it is saved."""
    name = f"form.{theme}"
    async with chromium.tab(town.url, theme=theme, width=NARROW) as tab:
        page = await tab.open("/schedules")
        await page.get_by_role("link", name="New schedule").click()
        await page.locator("[name=name]").fill(name)
        await expect(page.locator("[name=every]")).to_be_hidden()
        await page.locator("[value=every]").check()
        await expect(page.locator("[name=cron]")).to_be_hidden()
        await page.locator("[name=every]").fill("often")
        await page.locator("[name=type]").fill("town.succeed")
        await tab.press("Enter")
        await expect(page.locator("#every-why")).to_be_visible()
        assert await tab.violations() == []
        await page.locator("[name=every]").fill("6h")
        await page.get_by_role("button", name="Show when it is due").click()
        await expect(page.locator("#due tbody tr")).to_have_count(10)
        await expect(page.locator("#due")).to_be_in_viewport()
        assert await tab.violations() == []
        assert await tab.overflow() <= 0
        await page.get_by_role("button", name="Save schedule").click()
        await page.wait_for_url(f"**/schedules/{name}")
        # Where the browser says that it was refused: the form is answered by 422.
        assert [one for one in tab.complaints if "422" not in one] == []
