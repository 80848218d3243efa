"""Schedules: jobs that are submitted by the clock."""

from collections.abc import Callable, Sequence

from millstream_contracts import (
    Backfill,
    BackfillPage,
    BackfillRequest,
    Schedule,
    ScheduleDefinition,
    ScheduleOccasions,
    SchedulePage,
    SchedulePreview,
    ScheduleRun,
    ScheduleState,
    Scope,
    is_among,
    limits,
)
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.names import check_name
from millstream_ingest.api.operation import JOB_TYPE, Content, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, act, put, read, remove
from millstream_ingest.api.routes import schedule_examples as examples
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.negotiation import request_encoding
from millstream_ingest.http.problems import (
    IDEMPOTENCY_KEY_REUSED,
    INVALID_REQUEST,
    JOB_FORGOTTEN,
    OVERLOADED,
    SCHEDULE_NOT_FOUND,
    STORE_FULL,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response
from millstream_ingest.schedules.checked_definition import CheckedDefinition
from millstream_ingest.submission.bodies import CODECS, decode_as
from millstream_ingest.submission.idempotency import HEADER
from millstream_streams import IndexLine

_TAG = "Schedules"
_PATH = "/v1/schedules/{schedule}"
_STATES = tuple(state.value for state in ScheduleState)
_OWNERS = ("api", "code")
_KEY = Parameter(HEADER, "The same key within 24 hours is the same request")
_ETAG = {"ETag": "The schedule as it is now"}
_DEFAULT_OCCASIONS = 10
_HOW_MANY = Parameter(
    "n",
    "How many occasions",
    {
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "maximum": limits.MAX_NEXT_OCCASIONS,
        "default": _DEFAULT_OCCASIONS,
    },
    3,
)
_SCHEDULE = Content(model=Schedule, description="The schedule", examples=examples.SCHEDULE, headers=_ETAG)
_BACKFILL = Content(model=Backfill, description="The backfill", examples=examples.BACKFILL)

LIST = Operation(
    id="listSchedules",
    tag=_TAG,
    summary="List schedules",
    description="By name.",
    query=listing(
        Parameter("state", "Only those in this state", {"type": "string", "enum": list(_STATES)}, "active"),
        Parameter("owner", "Only those of this owner", {"type": "string", "enum": list(_OWNERS)}, "api"),
        Parameter("type", "Only those whose jobs are of this type", JOB_TYPE, "report.generate"),
        Parameter("name", "Only those whose name begins so", example="night"),
    ),
    answers={200: Content(model=SchedulePage, description="A page", examples=examples.SCHEDULES)},
)
PUT = Operation(
    id="putSchedule",
    tag=_TAG,
    summary="Make or replace a schedule",
    description="Its job is checked like a submission. With the same rules as before the next occasion stays as it is; "
    "with others it is the first one from now on. To put the same definition again changes nothing.",
    body=Content(model=ScheduleDefinition, examples=examples.DEFINITIONS),
    answers={
        200: _SCHEDULE,
        201: Content(
            model=Schedule,
            description="It is new",
            examples=examples.SCHEDULE,
            headers={**_ETAG, "Location": "Path of the schedule"},
        ),
    },
    problems=(INVALID_REQUEST, WRONG_STATE, STORE_FULL),
)
PREVIEW = Operation(
    id="previewSchedule",
    tag=_TAG,
    summary="See what a schedule would be",
    description="The definition is checked as if it was put, its job included. Nothing is stored.",
    query=(_HOW_MANY,),
    body=Content(model=ScheduleDefinition, examples=examples.DEFINITIONS),
    answers={200: Content(model=SchedulePreview, description="When it would fire", examples=examples.PREVIEW)},
    problems=(INVALID_REQUEST,),
)
GET = Operation(
    id="getSchedule", tag=_TAG, summary="Read a schedule", answers={200: _SCHEDULE}, problems=(SCHEDULE_NOT_FOUND,)
)
REMOVE = Operation(
    id="removeSchedule",
    tag=_TAG,
    summary="Remove a schedule",
    description="With its backfills. Jobs that were decided on run.",
    answers={200: Content(model=Schedule, description="The schedule as it was", examples=examples.SCHEDULE)},
    problems=(SCHEDULE_NOT_FOUND,),
)
PAUSE = Operation(
    id="pauseSchedule",
    tag=_TAG,
    summary="Pause a schedule",
    description="Occasions in a pause are not missed: they do not take place.",
    answers={200: _SCHEDULE},
    problems=(SCHEDULE_NOT_FOUND, WRONG_STATE, STORE_FULL),
)
RESUME = Operation(
    id="resumeSchedule",
    tag=_TAG,
    summary="Let a paused schedule go on",
    description="With the first occasion from now on.",
    answers={200: _SCHEDULE},
    problems=(SCHEDULE_NOT_FOUND, WRONG_STATE, STORE_FULL),
)
RUN = Operation(
    id="runSchedule",
    tag=_TAG,
    summary="Submit the job of a schedule now",
    description="Also of a paused one, and whatever its `overlap` is. The job has the tag `schedule`, and no "
    "`scheduled_for`.",
    headers=(_KEY,),
    answers={202: Content(model=ScheduleRun, description="The job is stored", examples=examples.RUN)},
    problems=(SCHEDULE_NOT_FOUND, INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED, JOB_FORGOTTEN, STORE_FULL, OVERLOADED),
)
NEXT = Operation(
    id="nextOccasions",
    tag=_TAG,
    summary="See when a schedule fires next",
    description="Changes of the clock are in it. Of a paused schedule: as if it was resumed now.",
    query=(_HOW_MANY,),
    answers={200: Content(model=ScheduleOccasions, description="The occasions", examples=examples.OCCASIONS)},
    problems=(SCHEDULE_NOT_FOUND,),
)
BACKFILL = Operation(
    id="backfillSchedule",
    tag=_TAG,
    summary="Run the occasions of a range of time again",
    description="Oldest first, with jobs of their own, so that what ran runs again. The `overlap` of the schedule does "
    "not apply. At most 10,000 occasions.",
    headers=(_KEY,),
    body=Content(model=BackfillRequest, examples=examples.BACKFILL_REQUESTS),
    answers={
        200: Content(model=Backfill, description="What it would do", examples=examples.PLANNED_BACKFILL),
        202: Content(model=Backfill, description="It runs", examples=examples.BACKFILL),
    },
    problems=(SCHEDULE_NOT_FOUND, INVALID_REQUEST, STORE_FULL),
)
LIST_BACKFILLS = Operation(
    id="listBackfills",
    tag=_TAG,
    summary="List the backfills of a schedule",
    description="Latest first. One that has ended is kept for a day.",
    answers={200: Content(model=BackfillPage, description="All of them", examples=examples.BACKFILLS)},
    problems=(SCHEDULE_NOT_FOUND,),
)
GET_BACKFILL = Operation(
    id="getBackfill", tag=_TAG, summary="Read a backfill", answers={200: _BACKFILL}, problems=(SCHEDULE_NOT_FOUND,)
)
CANCEL_BACKFILL = Operation(
    id="cancelBackfill",
    tag=_TAG,
    summary="End a backfill",
    description="No further job of it starts; those that have started go on.",
    answers={200: _BACKFILL},
    problems=(SCHEDULE_NOT_FOUND, WRONG_STATE, STORE_FULL),
)


@read("/v1/schedules", LIST, Scope.JOBS_READ, narrows=True)
async def list_schedules(request: ApiRequest) -> Response:
    """List schedules."""
    query = request.read_query(("state", "owner", "type", "name", "cursor", "limit"))
    state, owner = query.word("state", _STATES), query.word("owner", _OWNERS)
    types = request.principal.types
    if query.type is not None:
        check_type(types, query.type, "?type")
    page = await request.services.schedule_desk.page(
        request.tenant,
        _wanted(state, owner, query.type, types),
        prefix=query.values.get("name", ""),
        cursor=query.cursor,
        limit=query.limit,
    )
    return listing_response(request, query, page, page.next_cursor)


@put(_PATH, PUT, Scope.SCHEDULES_MANAGE)
async def put_schedule(request: ApiRequest, schedule: str) -> Response:
    """Make or replace a schedule."""
    request.read_query()
    asked = await _definition(request, schedule)
    found, is_new = await request.services.schedule_desk.put(request.tenant, schedule, asked)
    return _response(found, 201 if is_new else 200, {"Location": f"/v1/schedules/{schedule}"} if is_new else {})


@act(f"{_PATH}/preview", PREVIEW, Scope.SCHEDULES_MANAGE, audited=Audited.NOT)
async def preview_schedule(request: ApiRequest, schedule: str) -> Response:
    """See what a schedule would be."""
    count = request.read_query(("n",)).number("n", _DEFAULT_OCCASIONS, limits.MAX_NEXT_OCCASIONS)
    asked = await _definition(request, schedule)
    return Response(await request.services.schedule_desk.preview(request.tenant, schedule, asked, count))


@read(_PATH, GET, Scope.JOBS_READ)
async def get_schedule(request: ApiRequest, schedule: str) -> Response:
    """Read a schedule."""
    request.read_query()
    return _response(await request.services.schedule_desk.find(request.tenant, schedule))


@remove(_PATH, REMOVE, Scope.SCHEDULES_MANAGE)
async def remove_schedule(request: ApiRequest, schedule: str) -> Response:
    """Remove a schedule."""
    request.read_query()
    return Response(await request.services.schedule_desk.remove(request.tenant, schedule))


@act(f"{_PATH}/pause", PAUSE, Scope.SCHEDULES_MANAGE)
async def pause_schedule(request: ApiRequest, schedule: str) -> Response:
    """Pause a schedule."""
    request.read_query()
    return _response(await request.services.schedule_desk.pause(request.tenant, schedule))


@act(f"{_PATH}/resume", RESUME, Scope.SCHEDULES_MANAGE)
async def resume_schedule(request: ApiRequest, schedule: str) -> Response:
    """Let a paused schedule go on."""
    request.read_query()
    return _response(await request.services.schedule_desk.resume(request.tenant, schedule))


@act(f"{_PATH}/run", RUN, Scope.SCHEDULES_MANAGE)
async def run_schedule(request: ApiRequest, schedule: str) -> Response:
    """Submit the job of a schedule now."""
    request.read_query()
    made, replayed = await request.services.schedule_desk.run(
        request.tenant,
        schedule,
        caller=request.span.context,
        key=request.idempotency_key,
        owner=request.principal.owner,
    )
    headers = {"Location": f"/v1/jobs/{made.job}"}
    return Response(made, 202, {**headers, "Idempotency-Replayed": "true"} if replayed else headers)


@read(f"{_PATH}/next", NEXT, Scope.JOBS_READ)
async def next_occasions(request: ApiRequest, schedule: str) -> Response:
    """See when a schedule fires next."""
    count = request.read_query(("n",)).number("n", _DEFAULT_OCCASIONS, limits.MAX_NEXT_OCCASIONS)
    items = await request.services.schedule_desk.following(request.tenant, schedule, count)
    return Response(ScheduleOccasions(items=items))


@act(f"{_PATH}/backfill", BACKFILL, Scope.SCHEDULES_MANAGE)
async def backfill_schedule(request: ApiRequest, schedule: str) -> Response:
    """Run the occasions of a range of time again."""
    request.read_query()
    asked = await request.read_as(BackfillRequest)
    services = request.services
    found = await services.schedule_desk.read(request.tenant, schedule)
    made = await services.backfill_desk.add(request.tenant, found, asked, request.idempotency_key)
    if asked.dry_run:
        return Response(made)
    return Response(made, 202, {"Location": f"/v1/schedules/{schedule}/backfills/{made.id}"})


@read(f"{_PATH}/backfills", LIST_BACKFILLS, Scope.JOBS_READ)
async def list_backfills(request: ApiRequest, schedule: str) -> Response:
    """List the backfills of a schedule."""
    request.read_query()
    await request.services.schedule_desk.read(request.tenant, schedule)
    return Response(await request.services.backfill_desk.list(request.tenant, schedule))


@read(f"{_PATH}/backfills/{{backfill_id}}", GET_BACKFILL, Scope.JOBS_READ)
async def get_backfill(request: ApiRequest, schedule: str, backfill_id: str) -> Response:
    """Read a backfill."""
    request.read_query()
    return Response(await request.services.backfill_desk.find(request.tenant, schedule, backfill_id))


@act(f"{_PATH}/backfills/{{backfill_id}}/cancel", CANCEL_BACKFILL, Scope.SCHEDULES_MANAGE)
async def cancel_backfill(request: ApiRequest, schedule: str, backfill_id: str) -> Response:
    """End a backfill."""
    request.read_query()
    return Response(await request.services.backfill_desk.cancel(request.tenant, schedule, backfill_id))


async def _definition(request: ApiRequest, name: str) -> CheckedDefinition:
    """Return the definition that is the body of a request. Raises: IngestError, SubmissionError."""
    encoding = request_encoding(request.body_type)
    definition = decode_as(ScheduleDefinition, await request.read_body(limits.MAX_BODY_BYTES), encoding)
    check_name(name, "schedule")
    asked = await request.services.schedule_desk.check(request.tenant, name, definition, CODECS[encoding])
    check_type(request.principal.types, asked.job.submission.type, "/job/type")
    return asked


def _wanted(
    state: str | None, owner: str | None, job_type: str | None, types: Sequence[str]
) -> Callable[[IndexLine], bool]:
    def is_wanted(line: IndexLine) -> bool:
        if types and not is_among(line.type, types):
            return False
        asked = ((state, line.state), (owner, line.owner), (job_type, line.type))
        return all(wanted is None or wanted == found for wanted, found in asked)

    return is_wanted


def _response(found: Schedule, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(found, status, {**(headers or {}), "ETag": f'"{found.version}"'})


ROUTES = (
    list_schedules,
    put_schedule,
    preview_schedule,
    get_schedule,
    remove_schedule,
    pause_schedule,
    resume_schedule,
    run_schedule,
    next_occasions,
    backfill_schedule,
    list_backfills,
    get_backfill,
    cancel_backfill,
)
