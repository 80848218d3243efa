"""The page of jobs: a search of the history; without a history, the jobs that have not ended."""

from datetime import UTC, timedelta
from typing import Any

from litestar import Response, get

from millstream import ApiError, Client, Facets, InvalidError, Page
from millstream_console.live.view import Content, View
from millstream_console.pages.jobs import looking
from millstream_console.pages.jobs.columns import COLUMNS
from millstream_console.pages.jobs.live_list import STATES, read_live_jobs
from millstream_console.pages.jobs.query_error import fault_of
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.kept import kept, last_kept
from millstream_console.reading.past import Absence, absence_in
from millstream_console.web.visit import Visit

PAGE_JOBS = 50
FACETS_FOR_S = 60.0
"""How long facets are shown again: they take ten times as long to count as a page of jobs to find."""
LATE_HISTORY_S = 5.0
"""A history that is further behind than this is told about."""

_KEPT_CURSORS = 20
_TRAIL = "~"
_INVALID_QUERY = "invalid-query"


async def read_jobs(
    client: Client,
    *,
    q: str,
    cursor: str,
    trail: str,
    before: int,
    until: str,
    type: str,
    state: str,
    everything: bool,
    counted: bool,
) -> Content:
    """Return a page of a search. What all of it has in common comes once the page is open, unless it is `counted`."""
    shared = _shared(q, everything=everything, type=type, state=state)
    try:
        page = await client.jobs(q, cursor=cursor or None, limit=PAGE_JOBS, count=True)
        facets = await _facets(client, q, for_s=0.0) if counted else last_kept(client, _facets_of(q), FACETS_FOR_S)
    except InvalidError as error:
        if absence_in(error) is Absence.NONE:
            return {**shared, **await read_live_jobs(client, type=type, state=state, cursor=cursor)}
        if not error.problem.type.endswith(_INVALID_QUERY):
            raise
        return {**shared, "fault": fault_of(q, error)}
    until = until or _just_after(page)
    return {
        **shared,
        "page": page,
        "facets": facets,
        "is_counting": facets is None and not counted,
        "frozen": f"{q} until:{until}".strip() if until else q,
        "newest": [job.id for job in page.items] if not cursor else [],
        "older": _older(page, q, cursor, trail, before, until),
        "newer": _newer(q, trail, before, until) if cursor else None,
        "before": before,
    }


async def read_newest(client: Client, *, q: str, cursor: str, **_: object) -> Content:
    """Return the ids of the first page, of which those that the page does not show are new, and the facets."""
    shown: dict[str, object] = {"q": q, "newest": [], "facets": None, "is_counting": False, "look": looking}
    try:
        async with AtOnce() as reads:
            facets = reads.begin(_facets(client, q, for_s=FACETS_FOR_S))
            newest = None if cursor else reads.begin(client.jobs(q, limit=PAGE_JOBS))
    except InvalidError:
        return shown
    return {**shown, "newest": [job.id for job in newest.value.items] if newest else [], "facets": facets.value}


JOBS = View("jobs.html", read_jobs, "jobs", refresh=read_newest)


@get("/jobs")
async def show_jobs(visit: Visit) -> Response[Any]:
    """Show jobs."""
    return await visit.show(
        JOBS,
        q=visit.text("q"),
        cursor=visit.text("cursor"),
        trail=visit.text("trail"),
        before=visit.whole_number("before", 0),
        until=visit.text("until"),
        type=visit.text("type"),
        state=visit.choice("state", STATES, ""),
        everything=visit.text("select") == "all",
        counted=visit.text("counted") == "1",
    )


def _shared(q: str, *, everything: bool, type: str, state: str) -> dict[str, object]:
    """Return what the template needs in every case."""
    return {
        "q": q,
        "page": None,
        "fault": None,
        "facets": None,
        "is_counting": False,
        "frozen": q,
        "newest": [],
        "older": None,
        "newer": None,
        "before": 0,
        "everything": everything,
        "is_live_list": False,
        "type": type,
        "state": state,
        "states": STATES,
        "columns": COLUMNS,
        "late_s": LATE_HISTORY_S,
        "look": looking,
    }


async def _facets(client: Client, q: str, *, for_s: float) -> Facets | None:
    """Return facets that are no older than that; None while they are not to be had, since the list is worth more."""
    try:
        return await kept(client, _facets_of(q), for_s, lambda: client.facets(q))
    except ApiError:
        return None


def _facets_of(q: str) -> tuple[str, str]:
    return "facets", q


def _just_after(page: Page) -> str:
    """Return the time right after the newest job of a first page, by which its query can be frozen.

    It is a time of the jobs, not of this machine, whose clock may be another.
    """
    if not page.items:
        return ""
    newest = max(job.created_at for job in page.items) + timedelta(milliseconds=1)
    return newest.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _older(page: Page, q: str, cursor: str, trail: str, before: int, until: str) -> dict[str, object] | None:
    if page.next_cursor is None:
        return None
    behind = [*filter(None, trail.split(_TRAIL)), cursor or "first"][-_KEPT_CURSORS:]
    return {
        "q": q,
        "cursor": page.next_cursor,
        "trail": _TRAIL.join(behind),
        "before": before + len(page.items),
        "until": until,
    }


def _newer(q: str, trail: str, before: int, until: str) -> dict[str, object]:
    """Return the parameters of the page before; those of the first one where the way is not known."""
    *behind, last = list(filter(None, trail.split(_TRAIL))) or ["first"]
    if last == "first":
        return {"q": q}
    before = max(before - PAGE_JOBS, 0)
    return {"q": q, "cursor": last, "trail": _TRAIL.join(behind), "before": before, "until": until}


HANDLERS: tuple[Any, ...] = (show_jobs,)
