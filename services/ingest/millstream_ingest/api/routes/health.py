"""Health and metrics, for probes, scrapers and people. Not in the way of authentication, and without spans."""

from prometheus_client.exposition import choose_encoder

from millstream_ingest.api.operation import Content, Operation
from millstream_ingest.api.principal import Scope
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.http.headers import header_text
from millstream_ingest.http.response import Response
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


@read("/health", OVERVIEW, Scope.PUBLIC)
async def get_health(request: ApiRequest) -> Response:
    """Tell everything that is known of the service's health."""
    overview = request.services.health.overview()
    return Response(overview, 200 if overview.ok else _UNWELL, _NO_STORE)


@read("/livez", LIVE, Scope.PUBLIC)
async def get_liveness(request: ApiRequest) -> Response:
    """Answer the liveness probe."""
    return _probed(request.services.health.live())


@read("/readyz", READY, Scope.PUBLIC)
async def get_readiness(request: ApiRequest) -> Response:
    """Answer the readiness probe."""
    return _probed(request.services.health.ready())


@read("/metrics", METRICS, Scope.PUBLIC)
async def get_metrics(request: ApiRequest) -> Response:
    """Answer a scrape."""
    encode, content_type = choose_encoder(header_text(request.headers, b"accept"))
    return Response(encode(request.services.registry), 200, _NO_STORE, content_type)


def _probed(health: Health) -> Response:
    return Response(health, 200 if health.ok else _UNWELL, _NO_STORE)


PROBES = (get_health, get_liveness, get_readiness)
