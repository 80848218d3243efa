"""Demand: how many workers there should be. For autoscalers."""

from fnmatch import fnmatchcase

from millstream_contracts import Demand, Scope
from millstream_ingest.api.operation import Content, Operation, Parameter
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.response import Response

GET = Operation(
    id="getDemand",
    tag="Workers",
    summary="Read how many workers there should be",
    description="For autoscalers: how many jobs of some types, or of all, need a slot of a worker now or soon, and how "
    "many workers have that many slots. One job is enough for a worker to be wanted. Jobs that a dead worker holds "
    "count; jobs that wait in a paused queue do not.",
    query=(
        Parameter(
            "types",
            "Job types, or patterns such as `invoice.*`, separated by commas: those that the workers take which are "
            "scaled. All, when it is missing",
            example="report.*,demo.flaky",
        ),
    ),
    answers={200: Content(model=Demand, description="The demand", examples=examples.DEMAND)},
)


@read("/v1/demand", GET, Scope.JOBS_READ)
async def get_demand(request: ApiRequest) -> Response:
    """Tell how many workers there should be."""
    patterns = request.read_query(("types",)).types

    def takes(job_type: str) -> bool:
        return any(fnmatchcase(job_type, pattern) for pattern in patterns)

    return Response(
        await request.services.queue_stats.demand(None if request.principal.is_operator else request.tenant, takes)
    )


ROUTES = (get_demand,)
