"""Answers requests to routes that are audited, and describes them and refusals as records of the audit trail."""

from typing import Any
from urllib.parse import parse_qsl

from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, AuditEntry, AuditOutcome, id_of_key, moment, new_audit_id
from millstream_history import HistoryError
from millstream_ingest.access.principal import ANYONE, Principal
from millstream_ingest.access.redaction import bounded, changes_of, one_line, redacted, redacted_body
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, Route
from millstream_ingest.assembly import Services
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import Headers, header_text
from millstream_ingest.http.negotiation import sent_encoding
from millstream_ingest.http.problems import BAD_REQUEST, INTERNAL_ERROR
from millstream_ingest.http.query import MAX_PARAMETERS
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.http.response import Response
from millstream_streams import CursorError, StoreError
from millstream_submission import SubmissionError
from millstream_telemetry import ServerSpan

AUTHENTICATE = "authenticate"
"""The action of a request whose credential was refused: which route it was for does not matter."""

_UNREADABLE = (IngestError, StoreError, HistoryError, SubmissionError, CursorError)


async def answer_audited(request: ApiRequest, route: Route, parameters: dict[str, str]) -> Response:
    """Answer a request between the begin and the end of its record. Raises: what the route does."""
    recorder = request.services.audit_recorder
    entry = _entry(request.services, route, request.scope, request.headers, request.principal, request.span)
    await recorder.begin(entry)
    before = await _before(request, route, parameters)
    request.keeps_body = route.audited is Audited.WHOLE
    try:
        response = await route.handler(request, **parameters)
    except Exception as error:
        refusal = refusal_of(error)
        told = {"status": refusal.status, "problem": refusal.kind.slug, "outcome": _outcome(refusal.status)}
        await recorder.end(replace(entry, **told, **_asked(request)))
        raise
    told = {"status": response.status, "made": one_line(response.headers.get("Location", ""))}
    changes = _changes(route, before, response.content)
    await recorder.end(replace(entry, **told, **_asked(request), outcome=_outcome(response.status), changes=changes))
    return response


async def record_refusal(
    services: Services,
    route: Route,
    scope: Any,
    headers: Headers,
    span: ServerSpan,
    *,
    error: IngestError,
    principal: Principal = ANYONE,
) -> None:
    """Record that a principal, or a credential, may not use a route."""
    entry = _entry(services, route, scope, headers, principal, span)
    told = {"status": error.status, "problem": error.kind.slug, "outcome": AuditOutcome.REFUSED}
    entry = replace(entry, **told, detail=one_line(error.detail))
    recorder = services.audit_recorder
    if principal is not ANYONE:
        await recorder.refuse(entry, entry.key_id, entry.issuer, *route.methods, route.path)
        return
    # An id that is only claimed does not stand where the ids of those stand who have shown who they are.
    sent = header_text(headers, b"authorization").rpartition(" ")[2]
    claimed = {"claimed_key_id": id_of_key(sent)} if id_of_key(sent) else None
    await recorder.refuse(replace(entry, action=AUTHENTICATE, asked=claimed), entry.address)


def _entry(
    services: Services, route: Route, scope: Any, headers: Headers, principal: Principal, span: ServerSpan
) -> AuditEntry:
    at = moment(services.broker.clock.now_ms())
    return AuditEntry(
        id=new_audit_id(at),
        tenant=DEFAULT_TENANT if principal is ANYONE else principal.tenant,
        at=at,
        action=route.operation.id if route.operation else route.path,
        outcome=AuditOutcome.UNKNOWN,
        method=scope["method"],
        target=one_line(scope["path"]),
        key_id=one_line(principal.subject or principal.session_of or principal.key_id),
        session=principal.key_id if principal.session_of else "",
        issuer=one_line(principal.issuer),
        key_name=one_line(principal.name),
        role=str(principal.role or ""),
        address=services.addresses.of(scope, headers),
        user_agent=one_line(header_text(headers, b"user-agent")),
        request_id=one_line(header_text(headers, b"x-request-id")),
        trace_id=span.trace_id,
    )


async def _before(request: ApiRequest, route: Route, parameters: dict[str, str]) -> Any:
    """Return the target as it is before the change; None where it is not there or cannot be read."""
    if route.before is None:
        return None
    try:
        return (await route.before(request.of_target(), parameters)).content
    except _UNREADABLE:
        return None


def _asked(request: ApiRequest) -> dict[str, Any]:
    """Return what a request asks for, without secrets."""
    body = redacted_body(request.kept_body, sent_encoding(request.body_type)) if request.kept_body else None
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = redacted(dict(pairs[:MAX_PARAMETERS]))
    return {"asked": body, "query": bounded(query)}


def _changes(route: Route, before: Any, after: Any) -> dict[str, Any]:
    """Return what is not as it was, where the answer of a change shows the target that was read before it."""
    if before is None:
        return {}
    is_removal = route.methods == ("DELETE",) and route.path.endswith("}")
    if not is_removal and type(before) is not type(after):
        return {}
    was, becomes = redacted(before), {} if is_removal else redacted(after)
    return bounded(changes_of(was, becomes)) if isinstance(was, dict) and isinstance(becomes, dict) else {}


def _outcome(status: int) -> AuditOutcome:
    if status >= INTERNAL_ERROR.status:
        return AuditOutcome.FAILED
    return AuditOutcome.REFUSED if status >= BAD_REQUEST.status else AuditOutcome.DONE
