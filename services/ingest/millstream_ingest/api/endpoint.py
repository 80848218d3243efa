"""Serves one request, whichever door it came by: span, principal, errors as problems, encoding, HEAD.

The router and the fast path both end here, so what holds for every request is written once.
"""

from functools import partial
from typing import Any

from millstream_contracts import Scope
from millstream_ingest.access.masking import HEADER as SECRETS_HEADER
from millstream_ingest.access.masking import check_header, masked_answer
from millstream_ingest.access.principal import ANYONE, Principal
from millstream_ingest.access.tokens.meaning import UngrantedError
from millstream_ingest.access.withholding import without_payloads
from millstream_ingest.api.audited import answer_audited, record_refusal
from millstream_ingest.api.narrowed import check_types
from millstream_ingest.api.owned import is_about_own
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, Route
from millstream_ingest.assembly import Services
from millstream_ingest.http.client_watch import Receive
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import Headers, header_text, read_headers
from millstream_ingest.http.problems import TOO_MANY_ATTEMPTS, UNAUTHENTICATED
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.http.request_attributes import request_attributes
from millstream_ingest.http.response import (
    NO_HEADERS,
    EncodedResponse,
    Response,
    Send,
    StreamedResponse,
    encode_problem,
    encode_response,
)
from millstream_ingest.limiting.door import REQUESTS, SUBMISSIONS
from millstream_submission import KnownTypes
from millstream_telemetry import JobTracer, ServerSpan

API_PREFIX = "/v1/"
"""Of the routes that are traced. Health, metrics and pages are not: probes would drown everything else."""

MAX_INSTANCE_CHARS = 256

# To read a member of an enumeration off its class takes 0.1 us.
_PUBLIC, _JOBS_SUBMIT, _PAYLOADS_READ = Scope.PUBLIC, Scope.JOBS_SUBMIT, Scope.PAYLOADS_READ
_NOT_AUDITED = Audited.NOT
_REFUSED_CREDENTIALS = (UNAUTHENTICATED, TOO_MANY_ATTEMPTS)
_OF_OTHERS = ("Unique-Conflict", "Idempotency-Replayed")
_UNTRACED = JobTracer(None)
_NO_PARAMETERS: dict[str, str] = {}


def endpoint(services: Services, route: Route) -> "partial[Any]":
    """Return the ASGI application of one route."""
    return partial(serve, services, route, services.tracer if route.path.startswith(API_PREFIX) else _UNTRACED)


async def serve(services: Services, route: Route, tracer: JobTracer, scope: Any, receive: Receive, send: Send) -> None:
    """Answer a request to a route."""
    headers, method = read_headers(scope["headers"]), scope["method"]
    about, principal, limited = partial(request_attributes, scope, headers), ANYONE, None
    with tracer.server(method, route.path, *trace_headers(headers), about) as span:
        try:
            # Before anything of the body is read.
            principal = _known(services, route, headers, scope) or await _found(services, route, headers, scope, span)
            limited = services.door.limits_of(principal, SUBMISSIONS if route.scope is _JOBS_SUBMIT else REQUESTS)
            if limited is not None:
                await services.door.take(limited)
            # Before anything is changed: what cannot be masked is not answered.
            masking = await _masking(services, principal, headers) if SECRETS_HEADER in headers else None
            request = ApiRequest(services, scope, receive, headers, principal, span)
            parameters = scope.get("path_params", _NO_PARAMETERS)
            if principal.types:
                await check_types(request, route, parameters)
            if route.audited is _NOT_AUDITED:
                response = await route.handler(request, **parameters)
            else:
                response = await answer_audited(request, route, parameters)
            if principal is not ANYONE:
                _leave_out(request, route, response, masking)
            encoded: EncodedResponse | StreamedResponse = encode_response(response, headers)
        except Exception as error:  # noqa: BLE001 - whatever it is has a response
            encoded = refuse(services, error, scope, route.path, span.trace_id)
        if limited is not None:
            encoded.fields += limited.fields()
        span.answered(encoded.status)
        if isinstance(encoded, EncodedResponse):
            await encoded.send(send, is_head=method == "HEAD")
            return
    # A stream may last for days, and its span ends where it begins.
    stream = encoded
    if not await services.gate.while_valid(principal, lambda: stream.send(send, is_head=method == "HEAD")):
        await send({"type": "http.response.body", "body": b""})


def _known(services: Services, route: Route, headers: Headers, scope: Any) -> Principal | None:
    """Return the principal where nothing has to be asked, and it may use the route; None in every other case."""
    if route.scope is _PUBLIC:
        return ANYONE
    principal = services.gate.known(headers, scope)
    return principal if principal is not None and route.scope in principal.scopes else None


async def _found(services: Services, route: Route, headers: Headers, scope: Any, span: ServerSpan) -> Principal:
    """Return the principal, which may use the route. Raises: IngestError (401, 403, 429), StoreError."""
    try:
        principal = await services.gate.find(headers, scope)
    except IngestError as error:
        # A request without a credential has not tried any, and an issuer that is away has judged none.
        if error.kind in _REFUSED_CREDENTIALS and b"authorization" in headers:
            await record_refusal(services, route, scope, headers, span, error=error)
        elif isinstance(error, UngrantedError):
            await record_refusal(services, route, scope, headers, span, error=error, principal=error.principal)
        raise
    if route.scope not in principal.scopes and not (route.own and principal.may_own):
        refusal = services.gate.forbidden(principal, route.scope)
        await record_refusal(services, route, scope, headers, span, error=refusal, principal=principal)
        raise refusal
    return principal


async def _masking(services: Services, principal: Principal, headers: Headers) -> KnownTypes | None:
    """Return the types by which an answer is masked; None for what is public. Raises: IngestError (400), StoreError."""
    check_header(headers[SECRETS_HEADER])
    if principal is ANYONE:
        return None
    catalogue = services.catalogue
    return catalogue.fresh(principal.tenant) or await catalogue.of(principal.tenant)


def _leave_out(request: ApiRequest, route: Route, response: Response, masking: KnownTypes | None) -> None:
    """Take out of a response what its principal may not read, and mask what the request wants masked."""
    if _PAYLOADS_READ not in request.principal.scopes and not _is_own(request, route, response):
        response.content = without_payloads(response.content)
    if masking is not None:
        response.content = masked_answer(response.content, masking)


def _is_own(request: ApiRequest, route: Route, response: Response) -> bool:
    """Return whether an answer is about a job that the principal has submitted, now or earlier."""
    is_new = route.scope is _JOBS_SUBMIT and response.headers.keys().isdisjoint(_OF_OTHERS)
    return is_new or request.is_own or is_about_own(request.principal, response.content)


def refuse(
    services: Services, error: Exception, scope: Any, route: str, trace_id: str, headers: Any = NO_HEADERS
) -> EncodedResponse:
    """Return the problem document for an exception, and note why the request was refused."""
    refusal = refusal_of(error)
    services.refusals.note(error, refusal, method=scope["method"], route=route)
    problem = refusal.problem(instance=scope["path"][:MAX_INSTANCE_CHARS], trace_id=trace_id)
    return encode_problem(problem, {**refusal.headers, **headers}, refusal.retry_after_s)


def trace_headers(headers: Headers) -> tuple[str, str]:
    """Return `traceparent` and `tracestate` of a request; both are empty without the first."""
    if b"traceparent" not in headers:
        return "", ""
    return header_text(headers, b"traceparent"), header_text(headers, b"tracestate")
