"""Dead letters: list them, redrive or discard them."""

from datetime import UTC, datetime

from millstream_contracts import (
    ActionReport,
    DeadGroups,
    DeadLetterAction,
    DeadLetterPage,
    FieldError,
    JobType,
    Scope,
    limits,
)
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import JOB_TYPE, SWITCH, Content, Operation, Parameter, listing, most
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import HISTORY_UNAVAILABLE, INVALID_REQUEST, NO_HISTORY, TOO_MANY_SEARCHES
from millstream_ingest.http.response import Response
from millstream_ingest.inspection.dead_letters import DeadAction

_TAG = "Dead letters"
_NEITHER_NOR_BOTH = FieldError("", "expected either `ids` or `type`")
_REPORT = Content(model=ActionReport, description="What became of each job", examples=examples.ACTION_REPORT)

LIST = Operation(
    id="listDeadLetters",
    tag=_TAG,
    summary="List dead letters",
    description="By queue, newest first.",
    query=listing(Parameter("type", "Only those of this type", JOB_TYPE)),
    answers={200: Content(model=DeadLetterPage, description="A page", examples=examples.DEAD_PAGE)},
)
GROUPS = Operation(
    id="listDeadGroups",
    tag=_TAG,
    summary="Group dead jobs by what they died of",
    description="From the history: the dead jobs of each type and error fingerprint, the largest group first, with the "
    "newest job of each.",
    query=(
        Parameter("type", "Only jobs of this type", JOB_TYPE),
        Parameter("since", "Only jobs that were submitted since this time, or so long ago: `3600s`"),
        most("How many of the largest groups", limits.MAX_DEAD_GROUPS, limits.MAX_DEAD_GROUPS),
        Parameter("live", "1 counts, for each group, jobs that failed in the same way and have not ended", SWITCH),
        Parameter("releases", "1 says, for each group, which releases its oldest and its newest job died with", SWITCH),
    ),
    answers={200: Content(model=DeadGroups, description="The groups", examples=examples.DEAD_GROUPS)},
    problems=(NO_HISTORY, TOO_MANY_SEARCHES, HISTORY_UNAVAILABLE),
)
REDRIVE = Operation(
    id="redriveDeadLetters",
    tag=_TAG,
    summary="Run dead jobs again",
    description="Those of `ids`, or the newest `limit` of a `type`. Their attempts are counted from zero.",
    body=Content(model=DeadLetterAction, examples=examples.DEAD_ACTIONS),
    answers={200: _REPORT},
    problems=(INVALID_REQUEST,),
)
DISCARD = Operation(
    id="discardDeadLetters",
    tag=_TAG,
    summary="Give dead jobs up",
    description="Those of `ids`, or the newest `limit` of a `type`. They end as cancelled.",
    body=Content(model=DeadLetterAction, examples=examples.DEAD_ACTIONS),
    answers={200: _REPORT},
    problems=(INVALID_REQUEST,),
)


@read("/v1/dead", LIST, Scope.JOBS_READ, narrows=True)
async def list_dead(request: ApiRequest) -> Response:
    """List dead letters."""
    query = request.read_query(("type", "cursor", "limit"))
    types = request.principal.types
    if query.type is not None:
        check_type(types, query.type, "?type")
    page = await request.services.lister.dead(
        request.tenant, query.type, cursor=query.cursor, limit=query.limit, types=types
    )
    return listing_response(request, query, page, page.next_cursor)


@read("/v1/dead/groups", GROUPS, Scope.JOBS_READ, narrows=True)
async def list_dead_groups(request: ApiRequest) -> Response:
    """Group dead jobs by what they died of."""
    query = request.read_query(("type", "since", "limit", "live", "releases"))
    types = request.principal.types
    if query.type is not None:
        check_type(types, query.type, "?type")
    now = datetime.fromtimestamp(request.services.broker.clock.now_s(), UTC)
    history = request.history
    since = query.ago("since", now)
    with request.services.searcher.slots.taken(request.tenant):
        groups = history.search.dead_groups(
            request.tenant,
            query.type,
            since,
            now,
            limit=query.number("limit", limits.MAX_DEAD_GROUPS, limits.MAX_DEAD_GROUPS),
            with_live=query.switch("live"),
            with_releases=query.switch("releases"),
            types=types,
        )
        found, lag_s = await request.services.history_lag.beside(groups)
    return Response(DeadGroups(items=found.groups, complete=found.is_complete, history_lag_s=lag_s))


@act("/v1/dead/redrive", REDRIVE, Scope.JOBS_MANAGE, narrows=True)
async def redrive_dead(request: ApiRequest) -> Response:
    """Run dead jobs again."""
    return await _act(request, DeadAction.REDRIVE)


@act("/v1/dead/discard", DISCARD, Scope.JOBS_MANAGE, narrows=True)
async def discard_dead(request: ApiRequest) -> Response:
    """Give dead jobs up."""
    return await _act(request, DeadAction.DISCARD)


async def _act(request: ApiRequest, action: DeadAction) -> Response:
    request.read_query()
    asked = await request.read_as(DeadLetterAction)
    dead_letters, types = request.services.dead_letters, request.principal.types
    match asked:
        case DeadLetterAction(ids=list(ids), type=None):
            report = await dead_letters.act(action, request.tenant, ids, request.span, types=types)
        case DeadLetterAction(ids=None, type=str(job_type), limit=limit):
            check_type(types, job_type)
            report = await dead_letters.act_on_type(action, request.tenant, JobType(job_type), limit, request.span)
        case _:
            raise IngestError(INVALID_REQUEST, errors=[_NEITHER_NOR_BOTH])
    return Response(report)


ROUTES = (list_dead, list_dead_groups, redrive_dead, discard_dead)
