"""The list of jobs of an installation that keeps no history: what Redis has, by type and state."""

from millstream import Client, Page
from millstream_console.live.view import Content
from millstream_contracts import Job, JobState, made_at

STATES = ("queued", "running", "scheduled", "blocked", "dead")
"""Those that Redis can list."""

PAGE_JOBS = 50


async def read_live_jobs(client: Client, *, type: str, state: str, cursor: str) -> Content:
    """Return a page of the jobs that have not ended, or of the dead."""
    if state == JobState.DEAD:
        page = await _dead(client, type, cursor)
    else:
        page = await client.jobs(type=type or None, state=state or None, cursor=cursor or None, limit=PAGE_JOBS)
    asked = {"type": type, "state": state}
    return {
        "is_live_list": True,
        "page": page,
        "types": [queue.type for queue in await client.queues()],
        "older": {**asked, "cursor": page.next_cursor} if page.next_cursor else None,
        "newer": asked if cursor else None,
    }


async def _dead(client: Client, type: str, cursor: str) -> Page:
    """Return dead letters as jobs."""
    found = await client.dead(type=type or None, cursor=cursor or None, limit=PAGE_JOBS)
    jobs = [
        Job(
            id=letter.id,
            type=letter.type,
            state=JobState.DEAD,
            attempts=letter.attempts,
            created_at=made_at(letter.id),
            finished_at=letter.died_at,
            error=letter.error,
            reason=letter.reason,
        )
        for letter in found.items
    ]
    return Page(jobs, found.next_cursor)
