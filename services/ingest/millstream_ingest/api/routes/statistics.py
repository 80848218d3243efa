"""Statistics: how many jobs came and ended in each step of a time, and how long they took."""

from datetime import UTC, datetime

from millstream_contracts import Stats
from millstream_ingest.api.operation import JOB_TYPE, Content, Operation, Parameter
from millstream_ingest.api.principal import Scope
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.problems import HISTORY_UNAVAILABLE, NO_HISTORY
from millstream_ingest.http.response import Response
from millstream_ingest.inspection.stats_window import MOST_POINTS, window_of

_TIME = "an RFC 3339 time, or how long ago it was: `90m`, `6h`, `14d`"

GET = Operation(
    id="getStatistics",
    tag="Statistics",
    summary="Read how many jobs came and ended, and how long they took",
    description="A point for each step, of one job type or of all, from the history. Minutes are kept for 14 days, "
    "hours for 400: a time that begins before that has steps of whole hours. Percentiles are exact to nine per cent.",
    query=(
        Parameter("type", "Only jobs of this type", JOB_TYPE, examples.REPORT_TYPE),
        Parameter("from", f"Begin: {_TIME}. An hour before `to` when it is missing", example="6h"),
        Parameter("to", f"End: {_TIME}. Now when it is missing", example="2026-11-26T15:00:00Z"),
        Parameter(
            "step",
            f"Length of a step, whole minutes: seconds, or `5m`, `1h`; at most {MOST_POINTS:,} steps. One that suits a "
            "chart when it is missing",
            example="5m",
        ),
    ),
    answers={200: Content(model=Stats, description="The points", examples=examples.STATS)},
    problems=(NO_HISTORY, HISTORY_UNAVAILABLE),
)


@read("/v1/stats", GET, Scope.JOBS_READ)
async def get_stats(request: ApiRequest) -> Response:
    """Read statistics."""
    query = request.read_query(("type", "from", "to", "step"))
    job_type, history = query.type, request.history
    now = datetime.fromtimestamp(request.services.broker.clock.now_s(), UTC)
    window = window_of(query.values, now)
    points = await history.statistics.points(
        request.tenant, job_type, begin=window.begin, end=window.end, step=window.step
    )
    step_s = round(window.step.total_seconds())
    gaps = await history.gaps.between(request.tenant, job_type, window.begin, window.end)
    return Response(Stats(begin=window.begin, end=window.end, step_s=step_s, points=points, gaps=gaps))


ROUTES = (get_stats,)
