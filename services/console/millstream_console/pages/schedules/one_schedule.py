"""One schedule: when it is due, what became of its last occasions, and what can be done with it."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.schedules import schedule_words
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.past import absence_of, unless_absent
from millstream_console.web.visit import Visit
from millstream_contracts import SCHEDULE_TAG, Page

LAST = 12
"""Jobs of the last occasions that are shown."""

NEXT = 5


async def read_schedule(client: Client, *, name: str) -> Content:
    """Return a schedule with its next occasions, its last jobs and its backfills. Raises: ApiError."""
    # First alone: that there is none is said once.
    schedule = await client.schedule(name)
    async with AtOnce() as reads:
        following = reads.begin(client.next_occasions(name, NEXT))
        backfills = reads.begin(client.backfills(name))
        last = reads.begin(unless_absent(client.jobs(search_of(name), limit=LAST)))
    return {
        "schedule": schedule,
        "following": following.value,
        "backfills": backfills.value,
        "jobs": last.value.items if isinstance(last.value, Page) else [],
        "absence": absence_of(last.value),
        "search": search_of(name),
        "words": schedule_words,
    }


SCHEDULE = View("schedule.html", read_schedule, "schedules")


def search_of(name: str) -> str:
    """Return the query that finds the jobs of a schedule."""
    return f'tag.{SCHEDULE_TAG}:"{name}"'


@get("/schedules/{name:str}")
async def show_schedule(visit: Visit, name: FromPath[str]) -> Response[Any]:
    """Show one schedule."""
    return await visit.show(SCHEDULE, name=name)


@post("/schedules/{name:str}/pause")
async def pause_schedule(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Pause a schedule."""
    doing = visit.client.pause_schedule(name)
    return await visit.act(doing, back=_path(name), done="Paused. Occasions until it is resumed do not take place.")


@post("/schedules/{name:str}/resume")
async def resume_schedule(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Let a schedule go on."""
    doing = visit.client.resume_schedule(name)
    return await visit.act(doing, back=_path(name), done="Resumed, with its occasions from now on.")


@post("/schedules/{name:str}/run")
async def run_schedule(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Submit the job of a schedule now."""
    doing = visit.client.run_schedule(name)
    return await visit.act(doing, back=_path(name), done=lambda made: f"Submitted {made.job}.")


@post("/schedules/{name:str}/remove")
async def remove_schedule(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Remove a schedule."""
    doing = visit.client.remove_schedule(name)
    return await visit.act(doing, back="/schedules", done=lambda gone: f"{gone.name} is removed.")


@post("/schedules/{name:str}/backfills/{backfill_id:str}/cancel")
async def cancel_backfill(visit: Visit, name: FromPath[str], backfill_id: FromPath[str]) -> Response[bytes]:
    """End a backfill."""
    doing = visit.client.cancel_backfill(name, backfill_id)
    return await visit.act(doing, back=_path(name), done="Ended. Its jobs that have started go on.")


def _path(name: str) -> str:
    return f"/schedules/{name}"


HANDLERS = (show_schedule, pause_schedule, resume_schedule, run_schedule, remove_schedule, cancel_backfill)
