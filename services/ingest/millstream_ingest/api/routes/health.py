"""Health and metrics, for probes, scrapers and people. Not in the way of authentication, and without spans."""

from litestar.response.base import ASGIResponse
from prometheus_client.exposition import choose_encoder

from millstream_ingest.api.operation import Content, Operation, read
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.http.response import Answer
from millstream_runtime import Health, HealthOverview

_TAG = "Health"
_UNWELL = 503
_NO_STORE = {"Cache-Control": "no-store"}


def _probe(id: str, summary: str, model: type) -> Operation:
    answers = {
        200: Content(model=model, description="Well"),
        503: Content(model=model, description="Not well"),
    }
    return Operation(id=id, tag=_TAG, summary=summary, answers=answers)


OVERVIEW = _probe("getHealth", "Read how the service is", HealthOverview)
LIVE = _probe("getLiveness", "Whether the process should be left running", Health)
READY = _probe("getReadiness", "Whether requests should be sent here", Health)
METRICS = Operation(
    id="getMetrics",
    tag=_TAG,
    summary="Read the metrics",
    answers={200: Content(description="Prometheus text format, or OpenMetrics", media_types=("text/plain",))},
)


@read("/health", OVERVIEW)
async def get_health(request: ApiRequest) -> Answer:
    """Tell everything that is known of the service's health."""
    overview = request.parts.health.overview()
    return Answer(overview, 200 if overview.ok else _UNWELL, dict(_NO_STORE))


@read("/livez", LIVE)
async def get_liveness(request: ApiRequest) -> Answer:
    """Answer the liveness probe."""
    return _probed(request.parts.health.live())


@read("/readyz", READY)
async def get_readiness(request: ApiRequest) -> Answer:
    """Answer the readiness probe."""
    return _probed(request.parts.health.ready())


@read("/metrics", METRICS)
async def get_metrics(request: ApiRequest) -> ASGIResponse:
    """Answer a scrape."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    body = encode(request.parts.registry)
    is_head = request.method == "HEAD"
    return ASGIResponse(
        body=b"" if is_head else body,
        headers={"Content-Type": content_type, "Content-Length": str(len(body)), **_NO_STORE},
        is_head_response=is_head,
    )


def _probed(health: Health) -> Answer:
    return Answer(health, 200 if health.ok else _UNWELL, dict(_NO_STORE))


ROUTES = (get_health, get_liveness, get_readiness, get_metrics)
