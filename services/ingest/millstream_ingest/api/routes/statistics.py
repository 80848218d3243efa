"""Statistics: how many jobs came and ended in each step of a time, and how long they took; of all, or by type."""

from datetime import UTC, datetime

from millstream_contracts import Scope, Stats, StatsByType
from millstream_ingest.api.operation import JOB_TYPE, Content, Operation, Parameter, most
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.problems import HISTORY_UNAVAILABLE, NO_HISTORY
from millstream_ingest.http.response import Response
from millstream_ingest.inspection.stats_window import CHART, SPARKLINES, Size, window_of

_TIME = "an RFC 3339 time, or how long ago it was: `90m`, `6h`, `14d`"

DEFAULT_TYPES = 200


def _time_of(size: Size) -> tuple[Parameter, ...]:
    """Return the parameters that say which time is meant."""
    return (
        Parameter("from", f"Begin: {_TIME}. An hour before `to` when it is missing", example="6h"),
        Parameter("to", f"End: {_TIME}. Now when it is missing", example="2026-11-26T15:00:00Z"),
        Parameter(
            "step",
            f"Length of a step, whole minutes: seconds, or `5m`, `1h`; at most {size.most_points:,} steps. One that "
            "suits a chart when it is missing",
            example="5m",
        ),
    )


GET = Operation(
    id="getStatistics",
    tag="Statistics",
    summary="Read how many jobs came and ended, and how long they took",
    description="A point for each step, of one job type or of all, from the history. Minutes are kept for 14 days, "
    "hours for 400: a time that begins before that has steps of whole hours. Percentiles are exact to nine per cent.",
    query=(Parameter("type", "Only jobs of this type", JOB_TYPE, examples.REPORT_TYPE), *_time_of(CHART)),
    answers={200: Content(model=Stats, description="The points", examples=examples.STATS)},
    problems=(NO_HISTORY, HISTORY_UNAVAILABLE),
)
BY_TYPE = Operation(
    id="getStatisticsByType",
    tag="Statistics",
    summary="Read what each job type did in a time",
    description="The totals of each type of which something happened, with a number for each step, the busiest type "
    "first. From the history. Without a `step`, more than three hours are read by the hour.",
    query=(*_time_of(SPARKLINES), most("The most types", DEFAULT_TYPES)),
    answers={200: Content(model=StatsByType, description="The types", examples=examples.STATS_BY_TYPE)},
    problems=(NO_HISTORY, HISTORY_UNAVAILABLE),
)


@read("/v1/stats", GET, Scope.JOBS_READ, narrows=True)
async def get_stats(request: ApiRequest) -> Response:
    """Read statistics."""
    query = request.read_query(("type", "from", "to", "step"))
    job_type, history, types = query.type, request.history, request.principal.types
    if job_type is not None:
        check_type(types, job_type, "?type")
    now = datetime.fromtimestamp(request.services.broker.clock.now_s(), UTC)
    window = window_of(query.values, now)
    points = await history.statistics.points(
        request.tenant, job_type, begin=window.begin, end=window.end, step=window.step, types=types
    )
    step_s = round(window.step.total_seconds())
    gaps = await history.gaps.between(request.tenant, job_type, window.begin, window.end, types=types)
    # Those of workers are of no type.
    releases = [] if types else await history.statistics.releases(request.tenant, window.begin, window.end)
    return Response(
        Stats(begin=window.begin, end=window.end, step_s=step_s, points=points, gaps=gaps, releases=releases)
    )


@read("/v1/stats/types", BY_TYPE, Scope.JOBS_READ, narrows=True)
async def get_stats_by_type(request: ApiRequest) -> Response:
    """Read statistics by type."""
    query = request.read_query(("from", "to", "step", "limit"))
    limit, history, types = query.limit_or(DEFAULT_TYPES), request.history, request.principal.types
    now = datetime.fromtimestamp(request.services.broker.clock.now_s(), UTC)
    window = window_of(query.values, now, SPARKLINES)
    found = await history.statistics.by_type(
        request.tenant, begin=window.begin, end=window.end, step=window.step, limit=limit, types=types
    )
    gaps = await history.gaps.between(request.tenant, None, window.begin, window.end, types=types)
    return Response(
        StatsByType(
            begin=window.begin,
            end=window.end,
            step_s=round(window.step.total_seconds()),
            items=found.types,
            complete=found.is_complete,
            gaps=gaps,
        )
    )


ROUTES = (get_stats, get_stats_by_type)
