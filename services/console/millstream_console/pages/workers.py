"""The workers that are alive: what each runs, how it is, and the order to end one when its jobs have ended."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Struct

from millstream import Client, UnavailableError, WorkerInfo
from millstream.errors import describe
from millstream_console.drawing.sentence import counted
from millstream_console.live.view import Content, View
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.fleet import all_slots
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Visit
from millstream_contracts import RunningJob, Scope

MOST_JOBS = 12
LATE_MS = 200.0
"""An event loop that is later than this delays every job of its worker."""
SILENT_S = 15.0
"""A worker that sends no heartbeat for so long is in trouble, or gone: a reaper takes it off the list."""


class Run(Struct, frozen=True):
    """A job that runs, and its worker."""

    job: RunningJob
    worker: WorkerInfo


async def read_workers(client: Client) -> Content:
    """Return the workers, the busiest first, and the jobs that have run longest."""
    async with AtOnce() as reads:
        found = reads.begin(client.workers())
        queues = reads.begin(client.queues())
    workers = sorted(found.value, key=lambda one: (state_of(one), -one.busy, one.name))
    taken = {job_type for one in workers for job_type in one.types}
    return {
        "workers": workers,
        "slots": all_slots(workers),
        "memory": sum(one.rss_bytes or 0 for one in workers),
        "draining": sum(one.state == "draining" for one in workers),
        "versions": Counter(one.version or "unknown" for one in workers).most_common(),
        "longest": _longest(workers)[:MOST_JOBS],
        "unhandled": [queue.type for queue in queues.value if queue.type not in taken],
        "state_of": state_of,
        "oldest_of": lambda one: min((job.started_at for job in one.running), default=None),
        "host_of": host_of,
        "percent_of": lambda one: min(100, round(100 * one.busy / one.concurrency)) if one.concurrency else 0,
        "late_ms": LATE_MS,
    }


WORKERS = View("workers.html", read_workers, "workers")


@get("/workers")
async def show_workers(visit: Visit) -> Response[Any]:
    """Show the workers."""
    return await visit.show(WORKERS)


@get("/workers/{name:str}/drain")
async def ask_about_drain(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Ask whether a worker is to end: that cannot be taken back."""
    visit.require(Scope.QUEUES_MANAGE)
    worker = next((one for one in await visit.client.workers() if one.name == name), None)
    if worker is None:
        return visit.go("/workers", Toast("There is no such worker any more.", "w"))
    return await visit.framed("worker_drain.html", {"worker": worker, "host_of": host_of}, "workers")


@post("/workers/{name:str}/drain")
async def drain_worker(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Have a worker end once its jobs have ended."""
    try:
        return await visit.act(visit.client.drain_worker(name), back="/workers", done=_drains)
    except UnavailableError as error:
        if not error.problem.type.endswith("/worker-silent"):
            raise
        return visit.go("/workers", Toast(describe(error.problem), "b"))


def _drains(worker: WorkerInfo) -> str:
    host, process = host_of(worker)
    if not worker.busy:
        return f"{host}:{process} had no jobs, and ends."
    jobs = f"{counted(worker.busy, 'job')} of it {'has' if worker.busy == 1 else 'have'} ended"
    return f"{host}:{process} takes no more jobs, and ends once {jobs}."


def state_of(worker: WorkerInfo) -> str:
    """Return the state of a worker in a word that has a shape: `lost` where its heartbeats have stopped."""
    if (datetime.now(UTC) - worker.seen_at).total_seconds() > SILENT_S:
        return "lost"
    return "draining" if worker.state == "draining" else "active"


def host_of(worker: WorkerInfo) -> tuple[str, str]:
    """Return the host and the process of a worker, whose name is `host:pid:nonce`."""
    host, _, rest = worker.name.partition(":")
    return host, rest


def _longest(workers: Sequence[WorkerInfo]) -> list[Run]:
    return sorted((Run(job, one) for one in workers for job in one.running), key=lambda run: run.job.started_at)


HANDLERS = (show_workers, ask_about_drain, drain_worker)
