"""What the buttons of one job do."""

from typing import Any

from litestar import Response, post
from litestar.params import FromPath

from millstream_console.pages.decisions.acting import act_on_ids
from millstream_console.pages.decisions.decision import DECISIONS
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Visit


@post("/jobs/{job_id:str}/cancel")
async def cancel_job(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Cancel a job that has not ended."""
    return await visit.act(
        visit.client.cancel(job_id),
        back=f"/jobs/{job_id}",
        done=Toast("A job that waits has ended; one that runs is asked to stop."),
    )


@post("/jobs/{job_id:str}/redrive")
async def redrive_job(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Have a dead job run again."""
    return await visit.act(
        visit.client.retry(job_id), back=f"/jobs/{job_id}", done="It is queued again, with fresh attempts."
    )


@post("/jobs/{job_id:str}/discard")
async def discard_job(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Discard a dead job."""
    return visit.go(f"/jobs/{job_id}", await act_on_ids(visit.client, DECISIONS["discard"], [job_id]))


HANDLERS: tuple[Any, ...] = (cancel_job, redrive_job, discard_job)
