"""Holds routes about one job, batch or workflow to principals that may use them for all, and to whose it is.

See ADR 127 and ADR 128. What is not its own is unknown to a principal, as a job of another tenant is.
"""

from collections.abc import Mapping
from functools import wraps

from millstream_contracts import BatchId, BatchStatus, Job, JobId, Scope, WorkflowId, WorkflowStatus, queue_of
from millstream_ingest.access.principal import Principal
from millstream_ingest.api.handling import Handler
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import BATCH_NOT_FOUND, JOB_NOT_FOUND, WORKFLOW_NOT_FOUND
from millstream_ingest.http.response import Response

_PAYLOADS_READ, _JOBS_READ = Scope.PAYLOADS_READ, Scope.JOBS_READ
_UNKNOWN = {
    "job_id": (JOB_NOT_FOUND, "job"),
    "batch_id": (BATCH_NOT_FOUND, "batch"),
    "workflow_id": (WORKFLOW_NOT_FOUND, "workflow"),
}
"""What a parameter of a path names, and the problem of one that there is not."""


def owned(handler: Handler, scope: Scope | None) -> Handler:
    """Return what answers a request without the scope only about a job, a batch or a workflow of its own.

    Where the path names none of them, the handler itself has to ask :func:`require_own`.
    """

    @wraps(handler)
    async def answer(request: ApiRequest, **parameters: str) -> Response:
        scopes = request.principal.scopes
        is_allowed = scope in scopes
        if not (is_allowed and _PAYLOADS_READ in scopes):
            request.is_own = await _is_own(request, parameters)
        if not (is_allowed or request.is_own) and not parameters.keys().isdisjoint(_UNKNOWN):
            raise _refusal(request, scope, parameters)
        response = await handler(request, **parameters)
        if not (is_allowed or request.is_own):
            raise _refusal(request, scope, parameters)
        return response

    return answer


async def require_own(request: ApiRequest, job_id: JobId) -> None:
    """Refuse a job that the principal has not submitted.

    Raises: IngestError (404), StoreUnavailableError, HistoryError.
    """
    parameters = {"job_id": job_id}
    request.is_own = await _is_own(request, parameters)
    if not request.is_own:
        raise _unknown(request.principal, parameters)


def is_about_own(principal: Principal, content: object) -> bool:
    """Return whether an answer is about a job, a batch or a workflow that the principal has submitted."""
    if not isinstance(content, Job | BatchStatus | WorkflowStatus):
        return False
    return principal.may_own and content.submitted_by == principal.owner


async def _is_own(request: ApiRequest, parameters: Mapping[str, str]) -> bool:
    """Return whether the principal has submitted what a path is about. Raises: StoreUnavailableError, HistoryError."""
    principal = request.principal
    return principal.may_own and await _owner_of(request, parameters) == principal.owner


async def _owner_of(request: ApiRequest, parameters: Mapping[str, str]) -> str | None:
    """Return who has submitted what a path is about; nothing where that is not known, and where there is no such."""
    services, tenant = request.services, request.tenant
    if batch_id := parameters.get("batch_id"):
        found = await services.broker.batches.read(tenant, [BatchId(batch_id)])
        return next((one.owner for one in found.values()), None)
    if workflow_id := parameters.get("workflow_id"):
        return await services.workflow_desk.owner(tenant, WorkflowId(workflow_id))
    job_id = JobId(parameters.get("job_id", ""))
    queue = queue_of(tenant, job_id)
    if queue is None:
        return None
    owner = await services.broker.views.owner(queue, job_id)
    # What Redis knows is not asked of the history, so that live jobs are read while that is away.
    return await services.past_jobs.owner(queue, job_id) if owner is None else owner


def _refusal(request: ApiRequest, scope: Scope | None, parameters: Mapping[str, str]) -> IngestError:
    """Return the refusal of what is not its own, which is no secret to a principal that reads all jobs."""
    if _JOBS_READ in request.principal.scopes:
        return request.services.gate.forbidden(request.principal, scope)
    return _unknown(request.principal, parameters)


def _unknown(principal: Principal, parameters: Mapping[str, str]) -> IngestError:
    kind, noun = next((named for one, named in _UNKNOWN.items() if one in parameters), _UNKNOWN["job_id"])
    return IngestError(kind, f"there is no such {noun} among those that {principal.spoken} has submitted")
