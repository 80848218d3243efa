"""Health and metrics, for probes, scrapers and people. Not in the way of authentication, and without spans."""

from collections.abc import Mapping

from prometheus_client.exposition import choose_encoder

from millstream_contracts import Scope
from millstream_ingest.api.operation import Content, Example, Operation
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.headers import header_text
from millstream_ingest.http.response import Response
from millstream_runtime import Health, HealthOverview

_TAG = "Health"
_UNWELL = 503
_NO_STORE = {"Cache-Control": "no-store"}


def _probe(
    id: str, summary: str, description: str, model: type, shown: Mapping[bool, Mapping[str, Example]]
) -> Operation:
    answers = {
        200: Content(model=model, description="Well", examples=shown[True]),
        503: Content(model=model, description="Not well", examples=shown[False]),
    }
    return Operation(id=id, tag=_TAG, summary=summary, description=description, answers=answers, asks_redis=False)


OVERVIEW = _probe("getHealth", "Read how the service is", "All checks, for people.", HealthOverview, examples.HEALTH)
LIVE = _probe(
    "getLiveness",
    "Whether the process should be left running",
    "For the probe that restarts it.",
    Health,
    examples.PROBE,
)
READY = _probe(
    "getReadiness",
    "Whether requests should be sent here",
    "For load balancers. It fails while Redis is away, and before the port is closed.",
    Health,
    examples.PROBE,
)
METRICS = Operation(
    id="getMetrics",
    tag=_TAG,
    summary="Read the metrics",
    description="Not here when they have a port of their own (`MILLSTREAM_ADMIN_PORT`).",
    answers={200: Content(description="Prometheus text format, or OpenMetrics", media_types=("text/plain",))},
    asks_redis=False,
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
