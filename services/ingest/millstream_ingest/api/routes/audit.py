"""The audit trail: who changed what, and where the chain of the records begins and ends."""

import re
from datetime import UTC, datetime

from millstream_contracts import AuditChain, AuditEntry, AuditLink, AuditOutcome, AuditPage, Role, Scope, chained
from millstream_history import AuditQuery
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import Content, Example, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.http.problems import HISTORY_UNAVAILABLE, NO_HISTORY
from millstream_ingest.http.query import Query
from millstream_ingest.http.response import Response
from millstream_ingest.inspection.name_pages import cursor_at, read_place

_TAG = "Audit"
_PLACE = re.compile(r"[0-9]{1,18}")
_OUTCOMES = [outcome.value for outcome in AuditOutcome]
_ORDERS = ("newest", "oldest")
_AT = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
_TIME = {"type": "string", "format": "date-time"}

_RECORD = chained(
    AuditEntry(
        id="au_202611270200000000005f3a9c1e",
        tenant="default",
        at=_AT,
        action="pauseQueue",
        outcome=AuditOutcome.DONE,
        method="POST",
        target="/v1/queues/email.send/pause",
        key_id="7Kq2vXbA",
        key_name="ann",
        role=Role.OPERATOR,
        address="192.0.2.7",
        status=200,
        query={"reason": "the provider is down"},
        changes={"paused": {"before": False, "after": True}},
    ),
    None,
)
_LINK = AuditLink(seq=_RECORD.seq, hash=_RECORD.hash)

LIST = Operation(
    id="listAuditRecords",
    tag=_TAG,
    summary="List audit records",
    description="Newest first, a second or so behind the present. Submissions of jobs are not among them.",
    query=listing(
        Parameter("key", "Id of the key that did it, or the subject of its token"),
        Parameter("action", "`operationId` of the route in this document, or `authenticate`", example="revokeKey"),
        Parameter("outcome", "How it ended", {"type": "string", "enum": _OUTCOMES}),
        Parameter("target", "What the path of the request begins with", example="/v1/keys/"),
        Parameter("after", "Not before this time", _TIME),
        Parameter("before", "Before this time", _TIME),
        Parameter("order", "Which come first", {"type": "string", "enum": list(_ORDERS), "default": "newest"}),
    ),
    answers={
        200: Content(
            model=AuditPage,
            description="A page",
            examples={"records": Example("A pause", AuditPage(items=[_RECORD]))},
        )
    },
    problems=(NO_HISTORY, HISTORY_UNAVAILABLE),
)
CHAIN = Operation(
    id="getAuditChain",
    tag=_TAG,
    summary="Read where the chain of audit records begins and ends",
    description="Each record holds the hash of the one before. With the ends it shows whether one was altered, removed "
    "or inserted.",
    answers={
        200: Content(
            model=AuditChain,
            description="The ends",
            examples={"chain": Example("One record", AuditChain(tenant="default", last=_LINK, head=_LINK))},
        )
    },
    problems=(NO_HISTORY, HISTORY_UNAVAILABLE),
)


@read("/v1/audit", LIST, Scope.AUDIT_READ)
async def list_audit_records(request: ApiRequest) -> Response:
    """List audit records."""
    query = request.read_query(
        ("key", "action", "outcome", "target", "after", "before", "order", "cursor", "limit"),
    )
    place = read_place(query.cursor, _PLACE)
    found = await request.history.audit.page(
        request.tenant, _asked(query), behind=None if place is None else int(place), limit=query.limit
    )
    next_cursor = cursor_at(str(found[-1].seq)) if len(found) == query.limit else None
    return listing_response(request, query, AuditPage(items=found, next_cursor=next_cursor), next_cursor)


@read("/v1/audit/chain", CHAIN, Scope.AUDIT_READ)
async def get_audit_chain(request: ApiRequest) -> Response:
    """Read where the chain of audit records begins and ends."""
    request.read_query()
    history, audit_trail = request.history, request.services.broker.audit_trail
    # First what may not be ahead of the rest: the history has a record before Redis notes it.
    head = await audit_trail.head(request.tenant)
    cut, last = await history.audit.ends(request.tenant)
    return Response(AuditChain(tenant=request.tenant, cut=cut, last=last, head=head))


def _asked(query: Query) -> AuditQuery:
    """Return which records are asked for. Raises: IngestError (400)."""
    outcome = query.word("outcome", _OUTCOMES)
    return AuditQuery(
        key_id=query.values.get("key"),
        action=query.values.get("action"),
        outcome=None if outcome is None else AuditOutcome(outcome),
        target=query.values.get("target"),
        after=query.time("after"),
        before=query.time("before"),
        is_oldest_first=query.word("order", _ORDERS) == "oldest",
    )


ROUTES = (list_audit_records, get_audit_chain)
