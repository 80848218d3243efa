"""What the script of the page of a workflow does, in a real browser over a whole system."""

from console.browsing import Chromium
from console.town import Town
from playwright.async_api import expect


async def test_a_graph_fits_the_page_on_request(town: Town, chromium: Chromium) -> None:
    """`Fit` draws the graph as wide as its panel, also when the graph is sent anew; `100 %` as large as it is."""
    async with chromium.tab(town.url) as tab:
        page = await tab.open("/workflows")
        await page.locator("td.t a").first.click()
        graph = page.locator(".dag > svg")
        width = await graph.evaluate("(svg) => svg.getBoundingClientRect().width")
        await page.get_by_role("button", name="Fit", exact=True).click()
        await expect(page.get_by_role("button", name="Fit", exact=True)).to_have_attribute("aria-pressed", "true")
        fitted = await graph.evaluate("(svg) => svg.getBoundingClientRect().width")
        assert fitted != width
        await page.evaluate(
            "document.querySelector('.dag').replaceWith(document.querySelector('.dag').cloneNode(true))"
        )
        assert await graph.evaluate("(svg) => svg.getBoundingClientRect().width") == fitted
        await page.get_by_role("button", name="100 %").click()
        assert await graph.evaluate("(svg) => svg.getBoundingClientRect().width") == width
        assert tab.complaints == []
