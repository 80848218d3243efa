"""Lists of jobs: those that have not ended, from Redis, and searches of all, in the history, with their facets."""

from datetime import UTC, datetime

from millstream_contracts import Facets, JobState, Page, Scope, SearchHints, is_among
from millstream_history import MAX_QUERY_CHARS, JobQuery, Search, hints_at, type_in
from millstream_ingest.access.masking import without_secret_values
from millstream_ingest.access.withholding import readable_fields
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import JOB_TYPE, SWITCH, Content, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.problems import (
    HISTORY_UNAVAILABLE,
    INVALID_QUERY,
    INVALID_REQUEST,
    NO_HISTORY,
    TOO_MANY_SEARCHES,
)
from millstream_ingest.http.query import TAG, Query
from millstream_ingest.http.response import Response
from millstream_streams import StoreUnavailableError
from millstream_submission import KnownTypes

_TAG = "Jobs"
_TIME = {"type": "string", "format": "date-time"}
_FILTERS = ("type", "state", "q", "created_after", "created_before", TAG)
_LIST_PARAMETERS = (*_FILTERS, "as_of", "count", "cursor", "limit")

_FILTERING = (
    Parameter("type", "Only jobs of this type", JOB_TYPE, examples.REPORT_TYPE),
    Parameter(
        "state", "Only jobs in this state", {"type": "string", "enum": [one.value for one in JobState]}, "queued"
    ),
    Parameter("q", "What to search for: conditions that all hold. docs/history/searching.md has the language"),
    Parameter("created_after", "Search for jobs that were submitted at this time or later", _TIME),
    Parameter("created_before", "Search for jobs that were submitted before this time", _TIME),
)

LIST = Operation(
    id="listJobs",
    tag=_TAG,
    summary="List jobs that have not ended, or search for any",
    description="Jobs that have not ended, from Redis, by state, queue, priority and age. With `q`, `created_after`, "
    "`created_before`, `as_of`, a parameter `tag.<name>`, `count`, or a state that is an end: a search in the history, "
    "newest first. Both without payloads and results. A page of a search whose time was over has `complete: false`: it "
    "may even be empty, and the next one goes on.",
    query=listing(
        *_FILTERING,
        Parameter("as_of", "Search as at this time: relative times count from it, and later jobs are not found", _TIME),
        Parameter("count", "1 counts the jobs of all pages, as far as that can be done soon", SWITCH),
    ),
    answers={200: Content(model=Page, description="A page", examples=examples.JOB_PAGE, headers={"Link": "Next page"})},
    problems=(INVALID_REQUEST, INVALID_QUERY, NO_HISTORY, TOO_MANY_SEARCHES, HISTORY_UNAVAILABLE),
)
HINTS = Operation(
    id="hintSearch",
    tag=_TAG,
    summary="Hint at how a search can go on",
    description="For the place of a query where a person is typing: fields and values, also those that recent jobs "
    "have. Values of keys that are named like a secret, or that a handler declares as one, are never among them.",
    query=(
        Parameter("q", "The query so far"),
        Parameter(
            "at",
            "The place in it, in characters; its end if left out",
            {"type": "integer", "format": "int64", "minimum": 0},
        ),
    ),
    answers={200: Content(model=SearchHints, description="The hints", examples=examples.SEARCH_HINTS)},
    problems=(NO_HISTORY, HISTORY_UNAVAILABLE),
)

FACETS = Operation(
    id="facetSearch",
    tag=_TAG,
    summary="Read what the jobs of a search have in common",
    description="The most frequent states, types, workers, error fingerprints and tags, as the history knows them, "
    "each with the query that asks for it. Counted in the newest 5,000 jobs that the search finds, and in 0.35 "
    "seconds: if these are not all, `complete` is false, and a count is the least that there are, where it is not "
    "exact. A field that `q` has a condition on is counted without that condition, in the newest 2,000 jobs, while "
    "there is time. Parameters `tag.<name>` filter as those of a search do. Tags that are named like a secret are left "
    "out.",
    query=_FILTERING,
    answers={200: Content(model=Facets, description="The facets", examples=examples.FACETS)},
    problems=(INVALID_QUERY, NO_HISTORY, TOO_MANY_SEARCHES, HISTORY_UNAVAILABLE),
)


@read("/v1/jobs", LIST, Scope.JOBS_READ, narrows=True)
async def list_jobs(request: ApiRequest) -> Response:
    """List jobs."""
    query = request.read_query(_LIST_PARAMETERS)
    _check_type(request, query)
    page = await (_search(request, query) if query.is_search else _list(request, query))
    return listing_response(request, query, page, page.next_cursor)


@read("/v1/jobs/search/hints", HINTS, Scope.JOBS_READ, narrows=True)
async def hint_search(request: ApiRequest) -> Response:
    """Hint at how a search can go on."""
    query = request.read_query(("q", "at"))
    text, searcher = query.q[:MAX_QUERY_CHARS], request.services.searcher
    at = query.place("at", len(text))
    types, named = request.principal.types, type_in(text)
    known = await searcher.known_types(request.tenant, types) or ()
    looked_at = (known if types else None) if named is None else [named]
    if named is not None and types and not is_among(named, types):
        looked_at = []
    recent = await request.history.search.recent(request.tenant, looked_at)
    recent = without_secret_values(recent, await _known_types(request))
    return Response(hints_at(text, at, known, readable_fields(request.principal, recent)))


async def _known_types(request: ApiRequest) -> KnownTypes | None:
    """Return the registered types of the tenant; None where they cannot be read."""
    try:
        return await request.services.catalogue.of(request.tenant)
    except StoreUnavailableError:
        return None


@read("/v1/jobs/search/facets", FACETS, Scope.JOBS_READ, narrows=True)
async def facet_search(request: ApiRequest) -> Response:
    """Read what the jobs of a search have in common."""
    query = request.read_query(_FILTERS)
    _check_type(request, query)
    wanted = _wanted(request, query)
    return Response(await request.services.searcher.facets(request.history, wanted))


def _check_type(request: ApiRequest, query: Query) -> None:
    """Refuse a type that the principal is not for. Without one, it gets those that it is for. Raises: IngestError."""
    if query.type is not None:
        check_type(request.principal.types, query.type, "?type")


async def _list(request: ApiRequest, query: Query) -> Page:
    """Return a page of the jobs that have not ended."""
    return await request.services.lister.jobs(
        request.tenant,
        query.type,
        query.listed_state,
        cursor=query.cursor,
        limit=query.limit,
        types=request.principal.types,
    )


async def _search(request: ApiRequest, query: Query) -> Page:
    """Return a page of a search."""
    return await request.services.searcher.page(
        request.history,
        _wanted(request, query),
        cursor=query.cursor,
        limit=query.limit,
        is_counted=query.switch("count"),
        request=request.span,
    )


def _wanted(request: ApiRequest, query: Query) -> JobQuery:
    """Return what is searched for."""
    as_of = query.time("as_of")
    wanted = JobQuery(
        tenant=request.tenant,
        asked_at=as_of or datetime.fromtimestamp(request.services.broker.clock.now_s(), UTC),
        q=query.q,
        type=query.type,
        state=query.state,
        tags=query.tags,
        created_after=query.time("created_after"),
        created_before=query.time("created_before"),
        types=request.principal.types,
    )
    return Search.freeze(wanted) if as_of else wanted


ROUTES = (list_jobs, hint_search, facet_search)
