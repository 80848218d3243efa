"""Holds routes about one job or batch to principals that may use them for all, and to the one that has submitted it.

See ADR 127. What is not its own is unknown to a principal, as a job of another tenant is.
"""

from collections.abc import Mapping
from functools import wraps

from millstream_contracts import BatchId, BatchStatus, Job, JobId, Scope, queue_of
from millstream_ingest.access.principal import Principal
from millstream_ingest.api.handling import Handler
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import BATCH_NOT_FOUND, JOB_NOT_FOUND
from millstream_ingest.http.response import Response

_PAYLOADS_READ, _JOBS_READ = Scope.PAYLOADS_READ, Scope.JOBS_READ
_UNKNOWN = {"job_id": (JOB_NOT_FOUND, "job"), "batch_id": (BATCH_NOT_FOUND, "batch")}
"""What a parameter of a path names, and the problem of one that there is not."""


def owned(handler: Handler, scope: Scope | None) -> Handler:
    """Return what answers a request without the scope only about a job or a batch of its own.

    Where the path names neither, the handler itself has to ask :func:`require_own`.
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
    """Refuse a job that the principal has not submitted. Raises: IngestError (404), StoreUnavailableError."""
    parameters = {"job_id": job_id}
    request.is_own = await _is_own(request, parameters)
    if not request.is_own:
        raise _unknown(request.principal, parameters)


def is_about_own(principal: Principal, content: object) -> bool:
    """Return whether an answer is about a job or a batch that the principal has submitted."""
    return isinstance(content, Job | BatchStatus) and principal.may_own and content.submitted_by == principal.owner


async def _is_own(request: ApiRequest, parameters: Mapping[str, str]) -> bool:
    """Return whether the principal has submitted what a path is about. Raises: StoreUnavailableError."""
    principal, broker = request.principal, request.services.broker
    if not principal.may_own:
        return False
    if batch_id := parameters.get("batch_id"):
        found = await broker.batches.read(request.tenant, [BatchId(batch_id)])
        return any(one.owner == principal.owner for one in found.values())
    job_id = parameters.get("job_id", "")
    queue = queue_of(request.tenant, job_id)
    return queue is not None and await broker.views.owner(queue, JobId(job_id)) == principal.owner


def _refusal(request: ApiRequest, scope: Scope | None, parameters: Mapping[str, str]) -> IngestError:
    """Return the refusal of what is not its own, which is no secret to a principal that reads all jobs."""
    if _JOBS_READ in request.principal.scopes:
        return request.services.gate.forbidden(request.principal, scope)
    return _unknown(request.principal, parameters)


def _unknown(principal: Principal, parameters: Mapping[str, str]) -> IngestError:
    kind, noun = next((named for one, named in _UNKNOWN.items() if one in parameters), _UNKNOWN["job_id"])
    return IngestError(kind, f"there is no such {noun} among those that {principal.spoken} has submitted")
