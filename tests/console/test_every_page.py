"""Every page as a real browser shows it: readable by everyone, silent, within its policy, and inert."""

from collections.abc import AsyncIterator

import pytest
from console.browsing import MIDDLE, NARROW, THEMES, WIDE, Tab
from console.townsfolk import LONG_SCHEDULE, LONG_TYPE

PAGES = {
    "overview": "/",
    "queues": "/queues",
    "queue": "/queues/town.die",
    "queue with a long name": "/queues/{type}",
    "workers": "/workers",
    "drained worker": "/workers/{worker}/drain",
    "jobs": "/jobs",
    "jobs that were searched for": "/jobs?q=state:dead",
    "a query that is wrong": "/jobs?q=state:failed",
    "dead": "/jobs/{dead}",
    "running": "/jobs/{running}",
    "scheduled": "/jobs/{scheduled}",
    "succeeded": "/jobs/{succeeded}",
    "errors": "/errors",
    "operations": "/operations",
    "audit": "/audit",
    "audit records that there are none of": "/audit?outcome=unknown",
    "keys": "/keys",
    "new key": "/keys/new",
    "sessions": "/sessions",
    "tenants": "/tenants",
    "tenant": "/tenants/default",
    "new tenant": "/new-tenant",
    "edited tenant": "/tenants/default/edit",
    "schedules": "/schedules",
    "schedules that there are none of": "/schedules?state=done",
    "schedule": "/schedules/town.nightly",
    "schedule with a long name and hostile texts": "/schedules/{schedule}",
    "backfill": "/schedules/town.nightly/backfill?start=2026-03-27&end=2026-04-01",
    "backfill of a long name": "/schedules/{schedule}/backfill",
    "new schedule": "/new-schedule",
    "edited schedule with hostile texts": "/schedules/{schedule}/edit",
    "new job": "/jobs/new",
    "edited job": "/jobs/{dead}/edit",
    "copied job": "/jobs/{dead}/copy",
    "job of a schedule": "/jobs/{occasion}",
    "workflows": "/workflows",
    "workflows that there are none of": "/workflows?state=succeeded",
    "batches": "/batches",
    "batches that there are none of": "/batches?state=cancelled",
    "batch": "/batches/{batch}",
    "batch with some of its members": "/batches/{batch}?members=dead",
    "templates": "/templates",
    "templates that there are none of": "/templates?name=none",
    "template with a long name and hostile texts": "/templates/{schedule}",
    "new template": "/new-template",
    "edited template with hostile texts": "/templates/{schedule}/edit",
    "job of a template": "/jobs/new?template={schedule}",
    "workflow": "/workflows/{workflow}",
    "workflow with some of its nodes": "/workflows/{workflow}?nodes=failed",
}
"""The pages by name; `{state}` is the id of a job in that state."""

FORMS = {
    "drained worker",
    "backfill",
    "backfill of a long name",
    "new schedule",
    "edited schedule with hostile texts",
    "new template",
    "edited template with hostile texts",
    "job of a template",
    "new job",
    "edited job",
    "copied job",
    "new key",
    "new tenant",
    "edited tenant",
}
"""Those that are not kept fresh."""


@pytest.mark.parametrize("theme", THEMES)
async def test_pages_are_accessible_silent_and_within_their_policy(town, chromium, theme):
    """At every width: WCAG 2.2 AA holds, nothing is told or asked elsewhere, nothing overflows, no script is obeyed."""
    found = {}
    async with chromium.tab(town.url, theme=theme) as tab:
        for name, path in PAGES.items():
            await tab.open(path.format(**town.jobs, type=LONG_TYPE, schedule=LONG_SCHEDULE))
            if name not in FORMS:
                await tab.live()
            if faults := [fault async for fault in faults_of(tab)]:
                found[name] = faults
    assert found == {}


async def faults_of(tab: Tab) -> AsyncIterator[str]:
    """Yield what the browser, axe and the author of a hostile text find in the page that is open."""
    for width in (WIDE, MIDDLE, NARROW):
        await tab.resize(width)
        if (pixels := await tab.overflow()) > 0:
            yield f"{pixels} pixels wider than {width}"
        for word in await tab.broken_words():
            yield f"at {width}: the word {word!r} is broken"
        if width != MIDDLE:
            for violation in await tab.violations():
                yield f"at {width}: {violation}"
    for complaint in (*tab.complaints, *tab.foreign):
        yield complaint
    tab.complaints.clear()
    tab.foreign.clear()
    if await tab.page.evaluate("window.hacked") is not None:
        yield "a hostile text was obeyed"
