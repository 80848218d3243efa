"""What operators set of queues: pauses, limits and circuit breakers."""

from datetime import UTC, datetime

from millstream_contracts import (
    Breaker,
    BreakerState,
    BreakerStatus,
    FieldError,
    JobId,
    JobType,
    QueueKey,
    QueueKeyPage,
    QueueLimits,
    QueueSettings,
    Scope,
    limits,
)
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import Content, Example, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, put, read, remove
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import request_encoding
from millstream_ingest.http.problems import BAD_REQUEST, INVALID_REQUEST, NOT_FOUND, STORE_FULL, WRONG_STATE
from millstream_ingest.http.response import Response
from millstream_ingest.submission.bodies import decode_as

_TAG = "Queues"
_QUEUE = "/v1/queues/{job_type}"

_AT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
_LIMITED = QueueSettings(type=JobType("mail.send"), limits=QueueLimits(concurrency=20, rate="100/m"), limits_set_at=_AT)
_ACME = QueueKey(key="acme", parked=1_200, in_flight=2, weight=2.0, free_at=_AT)
_PAUSED = QueueSettings(type=JobType("mail.send"), paused=True, paused_at=_AT, pause_reason="the provider is down")
_HELD = QueueSettings(type=JobType("mail.send"), held_until=_AT, held_by=JobId("01981f0c-9e00-7cc3-98c4-dc0c0c07398f"))
_TRIPPED = QueueSettings(
    type=JobType("mail.send"),
    limits=QueueLimits(breaker=Breaker()),
    limits_set_at=_AT,
    breaker=BreakerStatus(state=BreakerState.OPEN, since=_AT, until=_AT, failed=14, attempts=22, in_a_row=1),
)
_SETTINGS = Content(
    model=QueueSettings,
    description="What is set of the queue",
    examples={
        "limited": Example("A queue with limits", _LIMITED),
        "paused": Example("A paused queue", _PAUSED),
        "tripped": Example("A queue whose circuit breaker is open", _TRIPPED),
        "held": Example("A queue that a handler holds back", _HELD),
    },
)

GET = Operation(
    id="getQueueSettings",
    tag=_TAG,
    summary="Read what is set of a queue",
    description="Whether it is paused, and its limits.",
    answers={200: _SETTINGS},
    problems=(NOT_FOUND,),
)
LIMIT = Operation(
    id="limitQueue",
    tag=_TAG,
    summary="Limit the jobs of a type",
    description="How many may run at once, and how many may start in a time, over all workers together. In force at "
    "once: what runs is not stopped, and nothing starts until it fits. Jobs that a limit holds back stay `queued`, "
    "keep their order, and take no slot of a worker. A type with several partitions has `concurrency` and `rate` split "
    "between them, and neither `cap` nor `breaker`.",
    body=Content(
        model=QueueLimits,
        examples={
            "both": Example("At most 20 at once, and 100 starts a minute", {"concurrency": 20, "rate": "100/m"}),
            "keys": Example(
                "At most two of each customer, and twice as many starts for one of them",
                {"per_key": {"concurrency": 2}, "weights": {"acme": 2}},
            ),
        },
    ),
    answers={200: _SETTINGS},
    problems=(INVALID_REQUEST, NOT_FOUND, STORE_FULL),
)
UNLIMIT = Operation(
    id="unlimitQueue",
    tag=_TAG,
    summary="Remove the limits of a type",
    description="Those that its handler declares hold from then on; without them, what was held back may start.",
    answers={200: _SETTINGS},
    problems=(NOT_FOUND,),
)
PAUSE = Operation(
    id="pauseQueue",
    tag=_TAG,
    summary="Pause a queue",
    description="Workers get no job of it until it is resumed; what runs goes on, and jobs are accepted. A queue that "
    "is paused keeps its reason.",
    query=(Parameter("reason", "Why, for people", example="the provider is down"),),
    answers={200: _SETTINGS},
    problems=(INVALID_REQUEST, NOT_FOUND, STORE_FULL),
)
RESUME = Operation(
    id="resumeQueue",
    tag=_TAG,
    summary="Let a paused queue go on",
    description="Within a second. One that is not paused stays as it is.",
    answers={200: _SETTINGS},
    problems=(NOT_FOUND,),
)
END_HOLD = Operation(
    id="endHold",
    tag=_TAG,
    summary="Let the jobs start that a handler holds back",
    description="A handler that is told to come back later may hold its type back until then, or its key. What is not "
    "held back stays as it is.",
    query=(Parameter("key", "The key that is held back; left out, the whole type", example="acme"),),
    answers={200: _SETTINGS},
    problems=(NOT_FOUND,),
)
OPEN_BREAKER = Operation(
    id="openBreaker",
    tag=_TAG,
    summary="Open the circuit breaker of a queue",
    description="No job starts until it is closed by hand; what runs goes on, and jobs are accepted. One that is open "
    "by hand keeps its reason. For a queue without a breaker there is the pause.",
    query=(Parameter("reason", "Why, for people", example="the provider is down"),),
    answers={200: _SETTINGS},
    problems=(INVALID_REQUEST, NOT_FOUND, WRONG_STATE, STORE_FULL),
)
CLOSE_BREAKER = Operation(
    id="closeBreaker",
    tag=_TAG,
    summary="Close the circuit breaker of a queue",
    description="What it held back may start at once, and failures are counted anew. One that is closed stays so.",
    answers={200: _SETTINGS},
    problems=(NOT_FOUND, WRONG_STATE),
)
KEYS = Operation(
    id="listQueueKeys",
    tag=_TAG,
    summary="List the keys that have jobs in a queue with limits",
    description="How many jobs of each key wait for their turn and are in flight, its weight, and when its rate lets "
    "one more start. A queue without limits has none: its jobs are ready without regard to their keys. Of more than "
    "10,000 keys of one priority that wait, those whose turns are next.",
    query=listing(
        Parameter("sort", "`parked`, the default: those with the most waiting jobs first; or `key`", example="parked")
    ),
    answers={
        200: Content(
            model=QueueKeyPage,
            description="A page",
            examples={"keys": Example("Two keys", QueueKeyPage(items=[_ACME, QueueKey(key="umbrella", parked=1)]))},
        )
    },
    problems=(NOT_FOUND,),
)


@read(f"{_QUEUE}/settings", GET, Scope.JOBS_READ)
async def get_queue_settings(request: ApiRequest, job_type: str) -> Response:
    """Read what is set of a queue."""
    request.read_query()
    return Response(await request.services.queue_desk.settings(request.tenant, JobType(job_type)))


@put(f"{_QUEUE}/limits", LIMIT, Scope.QUEUES_MANAGE)
async def limit_queue(request: ApiRequest, job_type: str) -> Response:
    """Limit the jobs of a type."""
    request.read_query()
    encoding = request_encoding(request.body_type)
    asked = decode_as(QueueLimits, await request.read_body(limits.MAX_BODY_BYTES), encoding)
    return Response(await request.services.queue_desk.limit(request.tenant, JobType(job_type), asked))


@remove(f"{_QUEUE}/limits", UNLIMIT, Scope.QUEUES_MANAGE)
async def unlimit_queue(request: ApiRequest, job_type: str) -> Response:
    """Remove the limits of a type."""
    request.read_query()
    return Response(await request.services.queue_desk.limit(request.tenant, JobType(job_type), None))


@act(f"{_QUEUE}/pause", PAUSE, Scope.QUEUES_MANAGE)
async def pause_queue(request: ApiRequest, job_type: str) -> Response:
    """Pause a queue."""
    reason = request.read_query(("reason",)).values.get("reason", "")
    return Response(await request.services.queue_desk.pause(request.tenant, JobType(job_type), reason))


@act(f"{_QUEUE}/resume", RESUME, Scope.QUEUES_MANAGE)
async def resume_queue(request: ApiRequest, job_type: str) -> Response:
    """Let a paused queue go on."""
    request.read_query()
    return Response(await request.services.queue_desk.resume(request.tenant, JobType(job_type)))


@remove(f"{_QUEUE}/hold", END_HOLD, Scope.QUEUES_MANAGE)
async def end_hold(request: ApiRequest, job_type: str) -> Response:
    """Let the jobs start that a handler holds back."""
    key = request.read_query(("key",)).values.get("key", "")
    return Response(await request.services.queue_desk.end_hold(request.tenant, JobType(job_type), key))


@act(f"{_QUEUE}/breaker/open", OPEN_BREAKER, Scope.QUEUES_MANAGE)
async def open_breaker(request: ApiRequest, job_type: str) -> Response:
    """Open the circuit breaker of a queue."""
    reason = request.read_query(("reason",)).values.get("reason", "")
    return Response(await request.services.queue_desk.open_breaker(request.tenant, JobType(job_type), reason))


@act(f"{_QUEUE}/breaker/close", CLOSE_BREAKER, Scope.QUEUES_MANAGE)
async def close_breaker(request: ApiRequest, job_type: str) -> Response:
    """Close the circuit breaker of a queue."""
    request.read_query()
    return Response(await request.services.queue_desk.close_breaker(request.tenant, JobType(job_type)))


@read(f"{_QUEUE}/keys", KEYS, Scope.JOBS_READ)
async def list_queue_keys(request: ApiRequest, job_type: str) -> Response:
    """List the keys that have jobs in a queue with limits."""
    query = request.read_query(("sort", "cursor", "limit"))
    sort = query.values.get("sort", "parked")
    if sort not in {"parked", "key"}:
        raise IngestError(BAD_REQUEST, errors=[FieldError("?sort", "expected `parked` or `key`")])
    page = await request.services.queue_desk.keys(
        request.tenant, JobType(job_type), by_parked=sort == "parked", cursor=query.cursor, limit=query.limit
    )
    return listing_response(request, query, page, page.next_cursor)


ROUTES = (
    get_queue_settings,
    list_queue_keys,
    limit_queue,
    unlimit_queue,
    pause_queue,
    resume_queue,
    end_hold,
    open_breaker,
    close_breaker,
)
