"""Holds requests to the job types that their key is narrowed to, whichever route they take (ADR 112, ADR 127).

A route whose path names a job, a job type, or something that is of job types, is held by its path. One that says it
`narrows` asks for the types itself. Every other route is refused: so a new one cannot forget it. What a body asks for
is compared where it is read.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from millstream_contracts import (
    BatchId,
    OperationOptions,
    Scope,
    WorkflowId,
    is_among,
    queue_of,
)
from millstream_history import StoredOperation
from millstream_ingest.access.principal import Principal
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Route
from millstream_ingest.http.allowed_types import check_type, spoken
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import (
    BATCH_NOT_FOUND,
    FORBIDDEN,
    JOB_NOT_FOUND,
    NOT_FOUND,
    SCHEDULE_NOT_FOUND,
    TEMPLATE_NOT_FOUND,
    WORKFLOW_NOT_FOUND,
    ProblemKind,
)
from millstream_submission import shown_template

Parameters = Mapping[str, str]

_OF_TYPE = ("/v1/queues/{job_type}", "/v1/types/{job_type}")
_FREE = frozenset({Scope.PUBLIC, Scope.AUTHENTICATED})


async def check_types(request: ApiRequest, route: Route, parameters: Parameters) -> None:
    """Refuse a route that is not about job types of a narrowed principal.

    Raises: IngestError (403, and 404 for what is of another type), StoreError, HistoryError.
    """
    if route.narrows or route.scope in _FREE:
        return
    for path, (check, kind) in _HELD.items():
        if route.path == path or route.path.startswith(f"{path}/"):
            if not await check(request, parameters):
                raise _refused(request.principal, route, kind, parameters[path.rpartition("{")[2].rstrip("}")])
            return
    if route.path.startswith(_OF_TYPE):
        check_type(request.principal.types, parameters["job_type"])
    else:
        of = spoken(request.principal.types)
        raise IngestError(FORBIDDEN, f"the request is about all job types, and the key is for {of} alone")


def _refused(principal: Principal, route: Route, kind: ProblemKind, name: str) -> IngestError:
    """Return the refusal of what is of another type: it is unknown, unless something would be put in its place."""
    if "PUT" in route.methods:
        return IngestError(
            FORBIDDEN, f"`{name[:64]}` is there, and not of {spoken(principal.types)}: take another name"
        )
    return IngestError(kind)


async def _is_job(request: ApiRequest, parameters: Parameters) -> bool:
    queue = queue_of(request.tenant, parameters["job_id"])
    return queue is None or is_among(queue.type, request.principal.types)


async def _is_schedule(request: ApiRequest, parameters: Parameters) -> bool:
    name = parameters["schedule"]
    found = await request.services.broker.schedules.read(request.tenant, [name])
    return _are_among(request, (one.type for one in found.values()))


async def _is_template(request: ApiRequest, parameters: Parameters) -> bool:
    name = parameters["template"]
    found = await request.services.broker.templates.get(request.tenant, name)
    return found is None or _are_among(request, [shown_template(name, found).type])


async def _is_workflow(request: ApiRequest, parameters: Parameters) -> bool:
    """Return whether all types of a workflow are known: an earlier release has not noted them in Redis."""
    workflow_id = WorkflowId(parameters["workflow_id"])
    return await request.services.workflow_desk.is_of(request.tenant, workflow_id, request.principal.types)


async def _is_batch(request: ApiRequest, parameters: Parameters) -> bool:
    """Return whether the principal has made a batch. Others add what they like to theirs."""
    batch_id = BatchId(parameters["batch_id"])
    found = (await request.services.broker.batches.read(request.tenant, [batch_id])).get(batch_id)
    return found is not None and found.owner != "" and found.owner == request.principal.owner


async def _is_operation(request: ApiRequest, parameters: Parameters) -> bool:
    found = await request.history.operations.find(request.tenant, parameters["operation_id"])
    return found is None or is_of_types(request, found)


def is_of_types(request: ApiRequest, operation: StoredOperation) -> bool:
    """Return whether an operation is about jobs of the types of a principal alone."""
    asked = operation.asked
    # The deletion of a tenant names no jobs, nor does an erasure that has ended: its search is forgotten.
    return (asked.ids is not None or asked.group is not None) and not list(foreign_jobs(request, asked))


def foreign_jobs(request: ApiRequest, asked: OperationOptions) -> Iterable[tuple[str, str]]:
    """Yield what an operation is about beside the types of a principal: a pointer to it, and the type where it has one.

    A search is about all types.
    """
    types = request.principal.types
    if not types:
        return
    if asked.q is not None:
        yield "/q", ""
    if asked.group is not None and not is_among(asked.group.type, types):
        yield "/group/type", asked.group.type
    for at, job_id in enumerate(asked.ids or ()):
        queue = queue_of(request.tenant, job_id)
        if queue is not None and not is_among(queue.type, types):
            yield f"/ids/{at}", queue.type


def _are_among(request: ApiRequest, types: Iterable[str]) -> bool:
    return all(is_among(one, request.principal.types) for one in types)


_HELD: Mapping[str, tuple[Callable[[ApiRequest, Parameters], Awaitable[bool]], ProblemKind]] = {
    "/v1/jobs/{job_id}": (_is_job, JOB_NOT_FOUND),
    "/v1/schedules/{schedule}": (_is_schedule, SCHEDULE_NOT_FOUND),
    "/v1/templates/{template}": (_is_template, TEMPLATE_NOT_FOUND),
    "/v1/workflows/{workflow_id}": (_is_workflow, WORKFLOW_NOT_FOUND),
    "/v1/batches/{batch_id}": (_is_batch, BATCH_NOT_FOUND),
    "/v1/operations/{operation_id}": (_is_operation, NOT_FOUND),
}
"""Paths that name something of job types: how it is compared, and the problem where it is of others."""
