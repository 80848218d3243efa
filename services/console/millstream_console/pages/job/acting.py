"""What the buttons of one job do."""

import json
from typing import Any
from urllib.parse import quote

from litestar import Response, post
from litestar.params import FromPath

from millstream import HandlerError
from millstream.jobs.signal import signal_name
from millstream_console.pages.decisions.acting import act_on_ids
from millstream_console.pages.decisions.confirmation import priority_named
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


@post("/jobs/{job_id:str}/run-now")
async def run_job_now(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Have a job ready before its time."""
    return await visit.act(visit.client.run_now(job_id), back=f"/jobs/{job_id}", done="It is ready.")


@post("/jobs/{job_id:str}/priority")
async def set_priority(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Give a job that has not started another priority."""
    wanted = priority_named((await visit.form()).text("priority"))
    doing = visit.client.set_priority(job_id, wanted)
    return await visit.act(doing, back=f"/jobs/{job_id}", done=f"Its priority is {wanted}.")


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


@post("/jobs/{job_id:str}/signal")
async def signal_job(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Send a signal to a job."""
    form = await visit.form()
    # From the graph of its workflow, or from its own page.
    workflow = form.text("workflow")
    back = f"/workflows/{quote(workflow, safe='')}" if workflow else f"/jobs/{job_id}"
    try:
        payload = json.loads(form.text("payload") or "null")
        name = signal_name(form.text("name"))
    except (ValueError, RecursionError) as error:
        return visit.go(back, Toast(f"The payload is not JSON: {error}", "b"))
    except HandlerError as error:
        return visit.go(back, Toast(str(error), "b"))
    return await visit.act(
        visit.client.signal(job_id, name, payload), back=back, done=lambda receipt: _SIGNALLED[receipt.outcome]
    )


_SIGNALLED = {
    "delivered": "The job goes on.",
    "kept": "The job keeps the signal until it waits for it.",
    "replayed": "The signal was sent before.",
}

HANDLERS: tuple[Any, ...] = (cancel_job, run_job_now, set_priority, redrive_job, discard_job, signal_job)
