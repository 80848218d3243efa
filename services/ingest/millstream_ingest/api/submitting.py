"""`POST /v1/jobs`, from the request to what is answered, whoever carries it: the framework, or the door before it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct

from millstream_contracts import Job, Tenant
from millstream_ingest.api.entity_tag import etag_of
from millstream_ingest.assembly import Parts
from millstream_ingest.http.negotiation import Encoding, request_encoding
from millstream_ingest.http.preferences import Preferences
from millstream_ingest.http.query import Query
from millstream_ingest.submission.idempotency import IdempotencyKey
from millstream_streams import StoreUnavailableError
from millstream_telemetry import ServerSpan


class SubmissionRequest(Protocol):
    """What a submission needs to know of its request."""

    @property
    def tenant(self) -> Tenant:
        """On whose behalf it acts."""
        ...

    @property
    def span(self) -> ServerSpan:
        """The span of the request."""
        ...

    @property
    def body_type(self) -> str | None:
        """What the body says it is."""
        ...

    @property
    def preferences(self) -> Preferences:
        """What the client would like."""
        ...

    @property
    def idempotency_key(self) -> IdempotencyKey | None:
        """The client's key, if it gave one."""
        ...

    def read_query(self) -> Query:
        """Refuse a query."""
        ...

    async def read_body(self, max_bytes: int) -> bytes:
        """Return the body."""
        ...

    async def unless_gone(self, wait: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `wait` returns; stop it when the client goes away."""
        ...


class Submitted(Struct, frozen=True):
    """What is answered."""

    job: Job
    status: int
    notes: dict[str, str]
    """Headers that only some answers have: what was preferred and granted, whether it is a repetition."""
    encoding: Encoding
    """Of the request's body."""

    @property
    def location(self) -> str:
        """Where the job is read."""
        return f"/v1/jobs/{self.job.id}"

    @property
    def etag(self) -> str:
        """The entity tag of the job."""
        return etag_of(self.job)


async def submit(request: SubmissionRequest, parts: Parts) -> Submitted:
    """Store the job of a request, and wait for its end if the client would like that.

    Raises: IngestError, NotDurableError, StoreUnavailableError, StoreFullError.
    """
    request.read_query()
    encoding = request_encoding(request.body_type)
    key, wishes = request.idempotency_key, request.preferences
    body = await request.read_body(parts.config.max_body_bytes)
    accepted = await parts.intake.submit(
        request.tenant,
        body,
        encoding,
        caller=request.span.context,
        key=key,
        waited=wishes.wait_s > 0,
        durability=wishes.durability,
    )
    job, status, notes = accepted.job, 202, wishes.applied("wait", "durability")
    if accepted.replayed:
        notes["Idempotency-Replayed"] = "true"
    if wishes.wait_s > 0:
        wait = parts.waiter.wait
        # The job is stored: when Redis goes away now, the answer is that it was accepted, and no 503.
        with suppress(StoreUnavailableError):
            job = (
                await request.unless_gone(
                    lambda: wait(accepted.queue, job.id, wishes.wait_s, is_watched=not accepted.replayed)
                )
                or job
            )
        status = 200 if job.state.is_settled else 202
    return Submitted(job, status, notes, encoding)
