"""The client for programs without an event loop, generated from `async_client.py` by `make generate`."""

from collections.abc import Iterable, Mapping
from typing import Any, Self, Unpack, overload

from millstream.client.api import Api
from millstream.client.new_job import NewJob, SubmitOptions, new_jobs
from millstream.client.retrier import Retrier
from millstream.client.transport import HttpClient, SyncTransport, checked_url
from millstream_contracts import (
    ActionReport,
    BatchReceipt,
    DeadLetterPage,
    Demand,
    Job,
    JobId,
    Page,
    QueueStatus,
    TypeRegistration,
    WorkerInfo,
)


class SyncJobHandle:
    """A job that was submitted."""

    def __init__(self, client: "SyncClient", job: Job) -> None:
        self.id: JobId = job.id
        self.job = job
        """The job as it was when it was submitted."""
        self._client = client

    def __repr__(self) -> str:
        return f"<SyncJobHandle {self.id}>"

    def result(self, timeout: float = 30.0) -> Any:
        """Wait for the result, at most `timeout` seconds. Raises: JobFailedError, WaitTimeoutError, ApiError."""
        return self._client.result(self.id, timeout)

    def status(self) -> Job:
        """Return the job as it is now. Raises: ApiError."""
        return self._client.get(self.id)

    def cancel(self) -> Job:
        """Cancel the job. Raises: ConflictError when it has ended, ApiError."""
        return self._client.cancel(self.id)


class SyncClient:
    """Submits jobs over HTTP and follows them. Threads may share one client.

    Each request is repeated, with growing random pauses and never before `Retry-After`, while the service cannot be
    reached or responds with 429, 502, 503 or 504, until `retry_for_s` seconds after the first failure. Submissions
    carry an `Idempotency-Key`, so a repetition after a lost response makes no second job. `retry`, `redrive` and
    `discard` have no such key: they are not repeated once the service may have carried them out.

    `timeout_s` bounds the silence before and within one response. `headers` go with every request. `http` replaces the
    client's own connections (proxies, certificates): it is a `Client` of httpx2 or httpx, and stays open when the
    client is closed.
    """

    def __init__(
        self,
        url: str,
        *,
        retry_for_s: float = 30.0,
        timeout_s: float = 30.0,
        headers: Mapping[str, str] | None = None,
        http: HttpClient | None = None,
    ) -> None:
        base_url = checked_url(url)
        self._api = Api(Retrier(base_url, retry_for_s=retry_for_s, timeout_s=timeout_s, headers=headers or {}))
        self._transport = SyncTransport(base_url, http)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def submit(
        self,
        type: str,
        payload: Any = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncJobHandle:
        """Submit one job. The payload is anything that msgspec encodes.

        With an `idempotency_key` of your own, a later call with the same key and job returns the same job, for 24
        hours. Raises: TypeError for an unknown option, InvalidError, UnavailableError, ApiError.
        """
        new_job = NewJob(type, payload, **options)
        job = self._transport.run(self._api.submit(new_job, idempotency_key))
        return SyncJobHandle(self, job)

    @overload
    def submit_many(self, jobs: Iterable[NewJob], *, idempotency_key: str | None = None) -> BatchReceipt: ...

    @overload
    def submit_many(
        self,
        jobs: str,
        payloads: Iterable[Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

    def submit_many(
        self,
        jobs: str | Iterable[NewJob],
        payloads: Iterable[Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt:
        """Submit many jobs: `submit_many("email.send", payloads, priority="low")`, or a list of `NewJob`.

        A request takes up to 10,000 jobs or 32 MiB; more jobs need more requests. The receipt has, for each job in
        order, its id or its problem: a bad job leaves the others as they are. Raises: TypeError, and ApiError when the
        first request is refused; the refusal of a later request is the problem of its jobs.
        """
        many = new_jobs(jobs, payloads, options)
        return self._transport.run(self._api.submit_many(many, idempotency_key))

    def get(self, job_id: str) -> Job:
        """Return a job. Raises: JobNotFoundError, ApiError."""
        return self._transport.run(self._api.get(job_id))

    def wait(self, job_id: str, timeout: float = 30.0) -> Job:
        """Return a job once it has ended or is dead, waiting at most `timeout` seconds.

        Raises: WaitTimeoutError, JobNotFoundError, ApiError.
        """
        return self._transport.run(self._api.wait(job_id, timeout))

    def result(self, job_id: str, timeout: float = 30.0) -> Any:
        """Return what a job's handler returned, waiting at most `timeout` seconds for it.

        Raises: JobFailedError, WaitTimeoutError, ApiError.
        """
        return self._transport.run(self._api.result(job_id, timeout))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: a waiting one ends at once, a running one is asked to stop. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.cancel(job_id))

    def retry(self, job_id: str) -> Job:
        """Have a job run again now. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.retry(job_id))

    def jobs(
        self,
        *,
        type: str | None = None,
        state: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page:
        """Return a page of jobs; `next_cursor` leads to the next. Raises: ApiError."""
        return self._transport.run(self._api.jobs(type, state, cursor, limit))

    def dead(self, *, type: str | None = None, cursor: str | None = None, limit: int | None = None) -> DeadLetterPage:
        """Return a page of dead letters, newest first. Raises: ApiError."""
        return self._transport.run(self._api.dead(type, cursor, limit))

    def redrive(self, *, ids: Iterable[str] | None = None, type: str | None = None, limit: int = 1000) -> ActionReport:
        """Run dead jobs again, by ids or up to `limit` of a type. Raises: TypeError, ApiError."""
        return self._transport.run(self._api.act_on_dead("redrive", ids, type, limit))

    def discard(self, *, ids: Iterable[str] | None = None, type: str | None = None, limit: int = 1000) -> ActionReport:
        """Cancel dead jobs for good, by ids or up to `limit` of a type. Raises: TypeError, ApiError."""
        return self._transport.run(self._api.act_on_dead("discard", ids, type, limit))

    def queues(self) -> list[QueueStatus]:
        """Return the counts of every job type. Raises: ApiError."""
        return self._transport.run(self._api.queues())

    def demand(self, types: Iterable[str] | None = None) -> Demand:
        """Return how many workers there should be for some job types, which may be patterns, or for all.

        Raises: TypeError, ApiError.
        """
        return self._transport.run(self._api.demand(types))

    def types(self) -> list[TypeRegistration]:
        """Return what workers have registered of the types they handle. Raises: ApiError."""
        return self._transport.run(self._api.types())

    def workers(self) -> list[WorkerInfo]:
        """Return the workers that are alive. Raises: ApiError."""
        return self._transport.run(self._api.workers())

    def health(self) -> dict[str, Any]:
        """Return the health of the service, also when it is bad. Raises: ApiError."""
        return self._transport.run(self._api.health())
