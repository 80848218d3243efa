"""Every call of the HTTP API as a conversation, which `Client` and `SyncClient` have carried out.

Source: docs of the HTTP API, version 1.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from millstream.caller import Call, Caller
from millstream.conversation import Conversation
from millstream.errors import ApiError, JobFailedError, WaitTimeoutError
from millstream.new_job import NewJob, batches
from millstream_contracts import (
    ActionReport,
    BatchItem,
    BatchReceipt,
    DeadLetterAction,
    DeadLetterPage,
    Job,
    JobState,
    Page,
    QueueStatus,
    TypeRegistration,
    WorkerInfo,
    limits,
)

T = TypeVar("T")

# A server that answers a long poll at once, job unfinished, is asked no more often than this.
_POLL_EVERY_S = 1.0


class Listing(Struct, Generic[T], frozen=True):
    """A page of any list."""

    items: list[T]
    next_cursor: str | None = None


class Api:
    """The calls, each written once for both clients."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def submit(self, job: NewJob, idempotency_key: str | None) -> Conversation[Job]:
        """Submit one job; however often the request is repeated, the key makes it one."""
        headers = {"idempotency-key": checked_key(idempotency_key)}
        call = Call(method="POST", path="/v1/jobs", answer=Job, content=job.content, headers=headers)
        return self._caller.converse(call)

    def submit_many(self, jobs: Sequence[NewJob], idempotency_key: str | None) -> Conversation[BatchReceipt]:
        """Submit jobs in as few requests as possible; the receipt is in the order of `jobs`.

        Raises: ApiError, when the first request is refused. The refusal of a later one is the problem of
        each of its items: what the earlier ones stored has to be known.
        """
        key = checked_key(idempotency_key)
        items: list[BatchItem] = []
        for number, (count, body) in enumerate(batches(jobs)):
            call = Call(
                method="POST",
                path="/v1/jobs/batch",
                answer=BatchReceipt,
                content=body,
                headers={"idempotency-key": f"{key}.{number}" if number else key},
            )
            start = len(items)
            try:
                receipt = yield from self._caller.converse(call)
                items += [msgspec.structs.replace(item, index=start + item.index) for item in receipt.items]
            except ApiError as error:
                if not items:
                    raise
                items += _all_refused(error, start, count)
        accepted = sum(item.problem is None for item in items)
        return BatchReceipt(accepted=accepted, rejected=len(items) - accepted, items=items)

    def get(self, job_id: str) -> Conversation[Job]:
        """Read one job."""
        return self._caller.converse(Call(path=_job_path(job_id), answer=Job))

    def wait(self, job_id: str, timeout_s: float) -> Conversation[Job]:
        """Read one job once it has settled. Raises: WaitTimeoutError."""
        clock = self._caller.clock
        deadline = clock() + timeout_s
        call = Call(path=_job_path(job_id), answer=Job, hold_s=limits.MAX_WAIT_S)
        pause_s = 0.0
        while True:
            asked_at = clock() + pause_s
            job = yield from self._caller.converse(call, delay_s=pause_s, until=deadline)
            if job.state.is_settled:
                return job
            answered_at = clock()
            if answered_at >= deadline:
                raise WaitTimeoutError(f"job {job_id} is {job.state} after {timeout_s:g} s; it goes on")
            pause_s = min(max(0.0, asked_at + _POLL_EVERY_S - answered_at), deadline - answered_at)

    def result(self, job_id: str, timeout_s: float) -> Conversation[Any]:
        """Wait for a job's result. Raises: JobFailedError, WaitTimeoutError."""
        job = yield from self.wait(job_id, timeout_s)
        if job.state is not JobState.SUCCEEDED:
            raise JobFailedError(job)
        return job.result

    def cancel(self, job_id: str) -> Conversation[Job]:
        """Ask for a job to end. To ask twice is to ask once."""
        return self._caller.converse(Call(method="POST", path=f"{_job_path(job_id)}/cancel", answer=Job))

    def retry(self, job_id: str) -> Conversation[Job]:
        """Have a job run again."""
        path = f"{_job_path(job_id)}/retry"
        return self._caller.converse(Call(method="POST", path=path, answer=Job, repeatable=False))

    def jobs(self, type: str | None, state: str | None, cursor: str | None, limit: int | None) -> Conversation[Page]:
        """Read a page of jobs."""
        query = {"type": type, "state": state, "cursor": cursor, "limit": limit}
        return self._caller.converse(Call(path="/v1/jobs", answer=Page, query=query))

    def dead(self, type: str | None, cursor: str | None, limit: int | None) -> Conversation[DeadLetterPage]:
        """Read a page of dead letters."""
        query = {"type": type, "cursor": cursor, "limit": limit}
        return self._caller.converse(Call(path="/v1/dead", answer=DeadLetterPage, query=query))

    def act_on_dead(
        self, action: str, ids: Iterable[str] | None, type: str | None, limit: int
    ) -> Conversation[ActionReport]:
        """Redrive or discard dead letters. A repetition by type would take the next ones as well."""
        if (ids is None) == (type is None):
            raise TypeError(f"{action} needs either ids or a type")
        chosen = DeadLetterAction(ids=None if ids is None else list(ids), type=type, limit=limit)
        content = msgspec.msgpack.encode(chosen)
        path = f"/v1/dead/{action}"
        call = Call(method="POST", path=path, answer=ActionReport, content=content, repeatable=False)
        return self._caller.converse(call)

    def queues(self) -> Conversation[list[QueueStatus]]:
        """Read the counts of every job type."""
        return self._listing("/v1/queues", Listing[QueueStatus])

    def types(self) -> Conversation[list[TypeRegistration]]:
        """Read what the workers say of the types they handle."""
        return self._listing("/v1/types", Listing[TypeRegistration])

    def workers(self) -> Conversation[list[WorkerInfo]]:
        """Read who is alive."""
        return self._listing("/v1/workers", Listing[WorkerInfo])

    def health(self) -> Conversation[dict[str, Any]]:
        """Read how the service is, also when it says that it is not well."""
        call = Call(path="/health", answer=dict[str, Any], welcome=frozenset({200, 503}))
        return self._caller.converse(call)

    def _listing(self, path: str, page_type: type[Listing[T]]) -> Conversation[list[T]]:
        items: list[T] = []
        cursor: str | None = None
        while True:
            call = Call(path=path, answer=page_type, query={"cursor": cursor})
            page = yield from self._caller.converse(call)
            items += page.items
            cursor = page.next_cursor
            if not cursor:
                return items


def checked_key(idempotency_key: str | None) -> str:
    """Return the key, or a fresh one. Raises: ValueError, when it cannot stand in a header."""
    if idempotency_key is None:
        return str(uuid.uuid4())
    fits = 0 < len(idempotency_key) <= limits.MAX_IDEMPOTENCY_KEY_CHARS
    if not (fits and idempotency_key.isascii() and idempotency_key.isprintable()):
        raise ValueError(f"an idempotency key is 1 to {limits.MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters")
    return idempotency_key


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _all_refused(error: ApiError, start: int, count: int) -> list[BatchItem]:
    status = error.problem.status
    return [BatchItem(index=start + n, status=status, problem=error.problem) for n in range(count)]
