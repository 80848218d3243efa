"""Sends what a search finds as JSON lines."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import get
from litestar.response import Stream

from millstream_console.web.visit import Visit
from millstream_contracts import Job

JSON_LINES = "application/jsonl"
_PAGE = 500


@get("/jobs/export.jsonl")
async def export_jobs(visit: Visit) -> Stream:
    """Send all jobs that a search finds, a line each, newest first, without payloads and results.

    A search that fails on the way breaks the connection off, so that no browser takes a part for the whole.
    """
    jobs = visit.client.search(visit.text("q"), page_size=_PAGE)
    # Before the status is sent: a query without meaning is refused as on the page.
    first = await anext(jobs, None)
    headers = {"Content-Disposition": 'attachment; filename="jobs.jsonl"', "Cache-Control": "no-store"}
    return Stream(_lines(first, jobs), media_type=JSON_LINES, headers=headers)


async def _lines(first: Job | None, rest: AsyncIterator[Job]) -> AsyncIterator[bytes]:
    if first is None:
        return
    yield msgspec.json.encode(first) + b"\n"
    async for job in rest:
        yield msgspec.json.encode(job) + b"\n"


HANDLERS: tuple[Any, ...] = (export_jobs,)
