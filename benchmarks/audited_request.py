"""Measures what the audit trail adds to a request: one that changes a job, with its record and without."""

import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from msgspec.structs import replace
from rig import NOOP, median, noop_jobs, report, rig

from millstream_contracts import JobId
from millstream_ingest.access.audit_recorder import AuditRecorder
from millstream_ingest.api.app import API_ROUTES
from millstream_ingest.api.endpoint import endpoint
from millstream_ingest.api.route import Audited, with_readers
from millstream_ingest.assembly import Services, open_services
from millstream_ingest.settings import IngestSettings
from millstream_telemetry import IngestMetrics, JobTracer, MetricRegistry

REQUESTS = 600
AT_ONCE = 50
"""Requests between two turns of the two kinds, so that what else the machine does meets both."""

PATH = "/v1/jobs/{job_id}/priority"
_HOUR_MS = 3_600_000

Ask = Callable[[], Awaitable[None]]


async def main(options: Namespace) -> dict[str, Any]:
    """Measure both kinds of request in turn, and print the medians."""
    rounds = [await _measure() for _ in range(options.rounds)]
    bare_ms, audited_ms, bare_cpu_ms, audited_cpu_ms = (median(list(one)) for one in zip(*rounds, strict=True))
    rows = [
        ("ms of a request without a record", f"{bare_ms:.2f}"),
        ("ms of one with its record", f"{audited_ms:.2f}"),
        ("times that", f"{audited_ms / bare_ms:.2f}"),
        ("times the CPU of ingest", f"{audited_cpu_ms / bare_cpu_ms:.2f}"),
    ]
    return report(
        "audited_request",
        rows,
        rounds=options.rounds,
        bare_ms=bare_ms,
        audited_ms=audited_ms,
        times=audited_ms / bare_ms,
        times_cpu=audited_cpu_ms / bare_cpu_ms,
    )


async def _measure() -> tuple[float, float, float, float]:
    """Return the ms of a request without a record and with one, and the ms of CPU of each."""
    async with rig() as one:
        [job] = noop_jobs(1)
        await one.broker.store.enqueue(NOOP, [replace(job, delay_ms=_HOUR_MS)])
        settings = IngestSettings(redis_url=one.redis_url, port=0)
        async with open_services(settings, tracer=JobTracer(None)) as services:
            bare, audited = _bare(services, job.id), _audited(services, job.id)
            for ask in (bare, audited):
                await _time(ask)
            spent = {bare: (0.0, 0.0), audited: (0.0, 0.0)}
            for _ in range(REQUESTS // AT_ONCE):
                for ask, (wall, cpu) in spent.items():
                    wall_s, cpu_s = await _time(ask)
                    spent[ask] = wall + wall_s, cpu + cpu_s
    (bare_s, bare_cpu_s), (audited_s, audited_cpu_s) = spent[bare], spent[audited]
    per_ms = 1000 / REQUESTS
    return bare_s * per_ms, audited_s * per_ms, bare_cpu_s * per_ms, audited_cpu_s * per_ms


def _bare(services: Services, job_id: JobId) -> Ask:
    """Return what asks the route as if nothing had to be recorded."""
    [route] = [route for route in API_ROUTES if route.path == PATH]
    return _asking(endpoint(services, replace(route, audited=Audited.NOT)), job_id)


def _audited(services: Services, job_id: JobId) -> Ask:
    """Return what asks the route with a trail that a history takes."""
    recorder = AuditRecorder(services.broker.audit_trail, IngestMetrics(MetricRegistry()), is_stored=True)
    [route] = [route for route in with_readers(API_ROUTES) if route.path == PATH]
    return _asking(endpoint(replace(services, audit_recorder=recorder), route), job_id)


def _asking(served: Callable[..., Awaitable[None]], job_id: JobId) -> Ask:
    bodies = [msgspec.json.encode({"priority": priority}) for priority in ("high", "low")]
    headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
    path = PATH.format(job_id=job_id)
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "client": ("127.0.0.1", 1)}
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        sent = iter([{"type": "http.request", "body": bodies[asked % 2], "more_body": False}])
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            if (message := next(sent, None)) is not None:
                return message
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            if "status" in message:
                statuses.append(message["status"])

        await served({**scope, "headers": headers, "path_params": {"job_id": job_id}}, receive, send)
        assert statuses == [202], statuses

    return ask


async def _time(ask: Ask) -> tuple[float, float]:
    """Return the seconds, and those of CPU, of some requests one after the other."""
    began, began_cpu = time.perf_counter(), time.thread_time()
    for _ in range(AT_ONCE):
        await ask()
    return time.perf_counter() - began, time.thread_time() - began_cpu
