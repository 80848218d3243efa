"""Runs an ingest on a loopback port in the event loop of the test, and sends requests to it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import httpx2
import msgspec
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from plain_words import python_in
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobId
from millstream_history import HistoryUnavailableError
from millstream_ingest.api import app
from millstream_ingest.api.document import api_document
from millstream_ingest.api.route import Route
from millstream_ingest.assembly import Services
from millstream_ingest.service import open_services, serve
from millstream_ingest.settings import IngestSettings
from millstream_telemetry import JobTracer

MSGPACK = "application/vnd.msgpack"
JSON = "application/json"

GRACE_S = 5.0
"""The grace of an ingest, so that a test ends though it leaves a request behind."""


@dataclass
class Ingest:
    """A running ingest."""

    http: httpx2.AsyncClient
    services: Services
    stop: anyio.Event
    hurry: anyio.Event

    async def submit(self, job_type: str = "email.send", payload: Any = None, **fields: Any) -> dict[str, Any]:
        """Submit a job, which must be accepted; return the response."""
        headers = fields.pop("headers", {})
        body = {"type": job_type, "payload": payload, **fields}
        response = await self.http.post("/v1/jobs", json=body, headers=headers)
        assert response.status_code in {200, 202}, response.text
        return response.json()

    async def get(self, path: str, **params: Any) -> Any:
        """Read a resource, which must exist."""
        response = await self.http.get(path, params=params)
        assert response.status_code == 200, response.text
        return response.json()


_DOCUMENTS: dict[tuple[Any, ...], dict[str, Any]] = {}


def _remembered_document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document of some routes, which the first ingest makes and all others of a process have too."""
    routes = list(routes)
    known = tuple((route.path, *route.methods) for route in routes)
    if known not in _DOCUMENTS:
        _DOCUMENTS[known] = api_document(routes)
    return _DOCUMENTS[known]


# An ingest is started for most of its tests, and half of that time would go into its document.
app.api_document = _remembered_document

DOORS = ("fast path", "router")
"""The two ways to the endpoint of `POST /v1/jobs`, the fast path and the router, for the parameter `door` of tests."""


async def _through_the_router(request: httpx2.Request) -> None:
    """Change the path of a submission to one that the fast path does not take."""
    if request.url.path == "/v1/jobs" and request.method == "POST":
        request.url = request.url.copy_with(path="/v1/jobs/")


PATIENCE_S = 30.0


def patient(settings: IngestSettings) -> IngestSettings:
    """Return settings to wait longer for Redis and the history than a busy machine makes ingest wait.

    Not for tests of how long it waits.
    """
    return replace(settings, redis_timeout_s=PATIENCE_S, history_timeout_s=PATIENCE_S)


@asynccontextmanager
async def running_ingest(
    settings: IngestSettings, tracer: JobTracer | None = None, *, door: str = DOORS[0], starts_ready: bool = True
) -> AsyncIterator[Ingest]:
    """Run an ingest while the block lasts; its client submits through this door, the fast path or the router.

    It is ready when the block begins, or, where it cannot be, as soon as it listens. On a busy machine the first
    connection to Redis takes longer than a submission waits.
    """
    hooks = [_through_the_router] if door == "router" else []
    stop, hurry, listening = anyio.Event(), anyio.Event(), anyio.Event()
    urls: list[str] = []

    def note(host: str, port: int) -> None:
        urls.append(f"http://{host}:{port}")
        listening.set()

    async with (
        open_services(settings, tracer=tracer or JobTracer(None)) as services,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(serve, services, stop, hurry, on_listening=note, grace_s=GRACE_S))
        await listening.wait()
        async with httpx2.AsyncClient(
            base_url=urls[0], trust_env=False, verify=False, timeout=60, event_hooks={"request": hooks}
        ) as http:
            if starts_ready:
                await wait_until(lambda: services.health.ready().ok, "ingest is ready")
            yield Ingest(http, services, stop, hurry)
        stop.set()
        hurry.set()


@asynccontextmanager
async def remembering_ingest(
    settings: IngestSettings, history_url: str, tracer: JobTracer | None = None
) -> AsyncIterator[Ingest]:
    """Run an ingest with a history while the block lasts, once it is connected to that.

    On a busy machine the first connection takes longer than a request waits for the history.
    """
    async with running_ingest(patient(replace(settings, history_url=history_url)), tracer) as running:
        history = running.services.history
        assert history is not None

        async def has_answered() -> bool:
            try:
                await history.transitions(DEFAULT_TENANT, JobId("none"))
            except HistoryUnavailableError:
                return False
            return True

        await wait_until(has_answered, "the history has answered")
        yield running


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Return the finished spans by name."""
    return {span.name: span for span in exporter.get_finished_spans()}


def packed(value: Any) -> bytes:
    """Return a value as MessagePack."""
    return msgspec.msgpack.encode(value)


def unpacked(response: httpx2.Response) -> Any:
    """Return the value of a MessagePack response."""
    assert response.headers["content-type"] == MSGPACK
    return msgspec.msgpack.decode(response.content)


def problem(response: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    """Return a refusal, which must be a problem document of this kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["type"] == f"/problems/{slug}"
    assert document["detail"]
    assert not python_in(document["detail"] + str(document.get("errors", "")))
    return document


def pointers(document: dict[str, Any]) -> list[str]:
    """Return the pointers of a refusal to the faulty fields."""
    return [error["pointer"] for error in document.get("errors", [])]
