"""Live events: what happens to jobs, as Server-Sent Events."""

from contextlib import aclosing

from millstream_contracts import JobId, Scope, queue_of
from millstream_ingest.api.operation import JOB_TYPE, Content, Operation, Parameter
from millstream_ingest.api.owned import require_own
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.events.frames import MEDIA_TYPE, first_lines, time_of
from millstream_ingest.events.listener import Choice, Listener
from millstream_ingest.events.resumption import frames_since
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import header_text
from millstream_ingest.http.problems import BAD_REQUEST, JOB_NOT_FOUND, OVERLOADED
from millstream_ingest.http.response import Response, Write

LAST_SEEN = "Last-Event-ID"

FOLLOW = Operation(
    id="followEvents",
    tag="Events",
    summary="Follow what happens to jobs",
    description="A stream of Server-Sent Events without an end. Each event `job` tells of one job that has moved, and "
    "`gap` that events are missing here. An event may come twice: of two events of one job the later has the larger "
    "`version`.",
    query=(
        Parameter("type", "Only jobs of this type", JOB_TYPE, examples.REPORT_TYPE),
        Parameter("job", "Only the job with this id"),
    ),
    headers=(Parameter(LAST_SEEN, "The `id` of the last event that the client has seen: go on from there"),),
    answers={
        200: Content(description="The events, as they happen", media_types=(MEDIA_TYPE,), examples=examples.EVENTS)
    },
    problems=(JOB_NOT_FOUND, OVERLOADED),
)


@read("/v1/events", FOLLOW, Scope.JOBS_READ, narrows=True, own=True)
async def follow_events(request: ApiRequest) -> Response:
    """Follow what happens to jobs."""
    choice, seen_ms = _choice(request), _last_seen(request)
    check_type(request.principal.types, choice.type, "?type")
    if not request.principal.may(Scope.JOBS_READ):
        await _check_own(request, choice)
    hub = request.services.events
    listener = await hub.open(choice)
    try:
        # What happens during the repetition waits in the listener.
        repeated = await frames_since(request.services.broker, hub.feed, choice, seen_ms) if seen_ms is not None else []
    except BaseException:
        hub.drop(listener)
        raise
    # Proxies that collect a response before they pass it on would never pass this one on.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(headers=headers, media_type=MEDIA_TYPE, stream=EventStream(request, listener, repeated))


class EventStream:
    """The body of such a response."""

    def __init__(self, request: ApiRequest, listener: Listener, repeated: list[bytes]) -> None:
        self._request = request
        self._listener = listener
        self._repeated = repeated

    async def write_to(self, write: Write) -> None:
        """Write events until the client or the service leaves."""

        async def write_all() -> None:
            # With the place behind the repetition: what happens from now on waits in the listener.
            await write(b"".join((*self._repeated, first_lines(self._listener.since_ms))))
            self._repeated = []
            hub = self._request.services.events
            async with aclosing(self._listener.pieces(hub.seen_ms)) as pieces:
                async for piece in pieces:
                    await write(piece)

        await self._request.while_there(write_all)

    def close(self) -> None:
        """Stop following."""
        self._request.services.events.drop(self._listener)


def _choice(request: ApiRequest) -> Choice:
    query = request.read_query(("type", "job"))
    job_id = query.values.get("job")
    if job_id is None:
        return Choice(request.tenant, query.type)
    queue = queue_of(request.tenant, job_id)
    if queue is None:
        raise IngestError(JOB_NOT_FOUND)
    if query.type not in {None, queue.type}:
        raise IngestError(BAD_REQUEST, f"?type: the job is of type `{queue.type}`; leave the parameter out")
    return Choice(request.tenant, queue.type, JobId(job_id), queue)


async def _check_own(request: ApiRequest, choice: Choice) -> None:
    """Refuse events of other jobs than one that the principal has submitted. Raises: IngestError (403, 404)."""
    if choice.job is None:
        raise request.services.gate.forbidden(request.principal, Scope.JOBS_READ)
    await require_own(request, choice.job)


def _last_seen(request: ApiRequest) -> int | None:
    text = header_text(request.headers, LAST_SEEN.lower().encode())
    if not text:
        return None
    found = time_of(text)
    if found is None:
        raise IngestError(BAD_REQUEST, f"`{LAST_SEEN}` has to be the id of an event, such as 1764234567890-0")
    return found


ROUTES = (follow_events,)
