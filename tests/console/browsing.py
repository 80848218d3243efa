"""Drives the Chromium of this machine through the console, and collects what a person would never see."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

WIDE, MIDDLE, NARROW = 1440, 1024, 390
THEMES = ("light", "dark")
# Of the page as a whole, and not of what stands alone or in a dialog. Axe would describe each element that is well too.
_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
    "selectors": False,
}
_FIND_VIOLATIONS = """async rules => {
  const {violations} = await axe.run(rules)
  return violations.map(({id, help, nodes}) => ({id, help, nodes: nodes.map(node => node.html)}))
}"""
_BROKEN_WORDS = """() => {
  const lines = node => {
    const range = document.createRange()
    range.selectNodeContents(node)
    return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size
  }
  const found = []
  for (const control of document.querySelectorAll('.btn, .seg > *')) {
    const texts = document.createTreeWalker(control, NodeFilter.SHOW_TEXT)
    while (texts.nextNode()) {
      const word = texts.currentNode.data.trim()
      if (word && !/\\s/.test(word) && lines(texts.currentNode) > 1) found.push(word)
    }
  }
  return found
}"""
PATIENCE_MS = 60_000
"""Ends the wait for what never comes, and is no bound on how fast it has to be."""
expect.set_options(timeout=PATIENCE_MS)


class Chromium:
    """A running browser."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @asynccontextmanager
    async def tab(self, url: str, *, width: int = WIDE, theme: str = "light", **options: Any) -> AsyncIterator["Tab"]:
        """Open a tab while the block lasts; `url` is the address of the console, without a slash at its end."""
        size = {"width": width, "height": 900}
        context = await self._browser.new_context(viewport=size, color_scheme=theme, **options)
        try:
            yield Tab(await context.new_page(), url)
        finally:
            await context.close()


class Tab:
    """A tab of the browser, with all that it complained about."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        """Messages on the browser's console, violations of the policy among them, and errors of scripts."""
        self.foreign: list[str] = []
        """Requests to other origins."""
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note_request)

    async def open(self, path: str) -> Page:
        """Open a page of the console, and wait until its scripts have run."""
        await self.page.goto(self.url + path, wait_until="load")
        return self.page

    async def live(self) -> None:
        """Wait until the page is kept fresh."""
        await self.page.wait_for_selector('[data-live="live"][data-heard]')

    async def resize(self, width: int) -> None:
        """Make the window narrower or wider."""
        await self.page.set_viewport_size({"width": width, "height": 900})

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def violations(self) -> list[str]:
        """Return what axe finds wrong with the page as it is."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE_SCRIPT)
        found = await self.page.evaluate(_FIND_VIOLATIONS, _RULES)
        return [f"{one['id']}: {one['help']}: {[html[:160] for html in one['nodes']][:3]}" for one in found]

    async def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    async def broken_words(self) -> list[str]:
        """Return the words on buttons and switches that are broken over several lines."""
        return await self.page.evaluate(_BROKEN_WORDS)

    def _note_message(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((self.url, "data:")):
            self.foreign.append(request.url)


def chromium_program() -> str | None:
    """Return the browser of this machine; None where it has none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@asynccontextmanager
async def open_chromium() -> AsyncIterator[Chromium]:
    """Run a browser while the block lasts."""
    async with async_playwright() as playwright:
        # Without its sandbox, which root cannot have.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=chromium_program(), args=arguments)
        try:
            yield Chromium(browser)
        finally:
            await browser.close()
