"""Every page as a real browser shows it: readable by everyone, silent, within its policy, and inert."""

import pytest
from console.browsing import MIDDLE, NARROW, THEMES, WIDE, Tab
from console.town import Town
from console.townsfolk import LONG_TYPE

PAGES = {
    "overview": "/",
    "queues": "/queues",
    "queue": "/queues/town.die",
    "queue with a long name": "/queues/{type}",
    "workers": "/workers",
    "jobs": "/jobs",
    "jobs that were searched for": "/jobs?q=state:dead",
    "a query that is wrong": "/jobs?q=state:failed",
    "dead": "/jobs/{dead}",
    "running": "/jobs/{running}",
    "scheduled": "/jobs/{scheduled}",
    "succeeded": "/jobs/{succeeded}",
    "errors": "/errors",
    "operations": "/operations",
}
"""The pages by name; `{state}` is the id of a job in that state."""


def path_of(name: str, town: Town) -> str:
    """Return the path of a page in this town."""
    return PAGES[name].format(**town.jobs, type=LONG_TYPE)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", THEMES)
async def test_page_is_accessible_silent_and_within_its_policy(town, chromium, name, theme):
    """At every width: WCAG 2.2 AA holds, nothing is told or asked elsewhere, no sideways scroll, no script obeyed."""
    for width in (WIDE, MIDDLE, NARROW):
        async with chromium.tab(town.url, width=width, theme=theme) as tab:
            await tab.open(path_of(name, town))
            await tab.live()
            await assert_sound(tab)


async def assert_sound(tab: Tab) -> None:
    """Assert that the browser, axe and the author of a hostile text find nothing."""
    assert await tab.violations() == []
    assert tab.complaints == []
    assert tab.foreign == []
    assert await tab.overflow() <= 0
    assert await tab.page.evaluate("window.hacked") is None
