"""Every call of the HTTP API as a flow, which `Client` and `SyncClient` run.

Source: docs of the HTTP API, version 1.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from millstream.client.event_flow import EventFlow
from millstream.client.flow import ApiFlow
from millstream.client.retrier import Call, Retrier
from millstream.errors import ApiError, JobFailedError, WaitTimeoutError
from millstream.jobs.idempotency_key import check_idempotency_key
from millstream.jobs.new_job import NewJob, batches
from millstream_contracts import (
    ActionReport,
    Backfill,
    BackfillPage,
    BackfillRequest,
    BatchItem,
    BatchReceipt,
    BulkOperation,
    DeadGroups,
    DeadLetterAction,
    DeadLetterPage,
    Demand,
    Facets,
    Job,
    JobStack,
    JobState,
    NewOperation,
    NewWebhook,
    OpenIncident,
    Page,
    QueueStatus,
    Schedule,
    ScheduleDefinition,
    ScheduleOccasions,
    SchedulePage,
    ScheduleRun,
    SearchHints,
    SecretWebhook,
    Stats,
    StatsByType,
    System,
    Timeline,
    TypeRegistration,
    Webhook,
    WebhookChange,
    WebhookSecret,
    WorkerInfo,
    limits,
)

T = TypeVar("T")

# A server that responds at once to a long poll for an unfinished job is asked once in this time at most.
_POLL_EVERY_S = 1.0


class ListPage(Struct, Generic[T], frozen=True):
    """A page of a list, of items of any type."""

    items: list[T]
    next_cursor: str | None = None


class Api:
    """The calls, each written once for both clients."""

    def __init__(self, caller: Retrier) -> None:
        self._retrier = caller

    def submit(self, job: NewJob, idempotency_key: str | None) -> ApiFlow[Job]:
        """Submit one job. The idempotency key makes it one job, although the request may be repeated."""
        headers = {"idempotency-key": checked_key(idempotency_key)}
        call = Call(method="POST", path="/v1/jobs", returns=Job, content=job.content, headers=headers)
        return self._retrier.flow(call)

    def submit_many(self, jobs: Sequence[NewJob], idempotency_key: str | None) -> ApiFlow[BatchReceipt]:
        """Submit jobs in as few requests as possible; the receipt is in the order of `jobs`.

        Raises: ApiError, when the first request is refused. The refusal of a later request is the problem of each of
        its items, because an exception would hide the ids of the jobs that the earlier requests stored.
        """
        key = checked_key(idempotency_key)
        items: list[BatchItem] = []
        for number, (count, body) in enumerate(batches(jobs)):
            call = Call(
                method="POST",
                path="/v1/jobs/batch",
                returns=BatchReceipt,
                content=body,
                headers={"idempotency-key": f"{key}.{number}" if number else key},
            )
            start = len(items)
            try:
                receipt = yield from self._retrier.flow(call)
                items += [msgspec.structs.replace(item, index=start + item.index) for item in receipt.items]
            except ApiError as error:
                if not items:
                    raise
                items += _all_refused(error, start, count)
        accepted = sum(item.problem is None for item in items)
        return BatchReceipt(accepted=accepted, rejected=len(items) - accepted, items=items)

    def get(self, job_id: str) -> ApiFlow[Job]:
        """Read one job."""
        return self._retrier.flow(Call(path=_job_path(job_id), returns=Job))

    def wait(self, job_id: str, timeout_s: float) -> ApiFlow[Job]:
        """Read one job once it has settled. Raises: WaitTimeoutError."""
        clock = self._retrier.clock
        deadline = clock() + timeout_s
        call = Call(path=_job_path(job_id), returns=Job, hold_s=limits.MAX_WAIT_S)
        pause_s = 0.0
        while True:
            asked_at = clock() + pause_s
            job = yield from self._retrier.flow(call, delay_s=pause_s, until=deadline)
            if job.state.is_settled:
                return job
            replied_at = clock()
            if replied_at >= deadline:
                raise WaitTimeoutError(f"job {job_id} is {job.state} after {timeout_s:g} s; it goes on")
            pause_s = min(max(0.0, asked_at + _POLL_EVERY_S - replied_at), deadline - replied_at)

    def result(self, job_id: str, timeout_s: float) -> ApiFlow[Any]:
        """Wait for a job's result. Raises: JobFailedError, WaitTimeoutError."""
        job = yield from self.wait(job_id, timeout_s)
        if job.state is not JobState.SUCCEEDED:
            raise JobFailedError(job)
        return job.result

    def stack(self, job_id: str) -> ApiFlow[JobStack]:
        """Ask where the handler of a running job is. A worker that does not answer is not asked again."""
        return self._retrier.flow(Call(path=f"{_job_path(job_id)}/stack", returns=JobStack, repeatable=False))

    def cancel(self, job_id: str) -> ApiFlow[Job]:
        """Ask for a job to end. A repetition changes nothing."""
        return self._retrier.flow(Call(method="POST", path=f"{_job_path(job_id)}/cancel", returns=Job))

    def retry(self, job_id: str) -> ApiFlow[Job]:
        """Have a job run again now."""
        path = f"{_job_path(job_id)}/retry"
        return self._retrier.flow(Call(method="POST", path=path, returns=Job, repeatable=False))

    def jobs(
        self,
        query: Mapping[str, str | int | None],
        tags: Mapping[str, str] | None,
        created_after: datetime | None,
        created_before: datetime | None,
        as_of: datetime | None,
    ) -> ApiFlow[Page]:
        """Read a page of a list, or of a search."""
        filters = {**_filters(tags, created_after, created_before), "as_of": _time(as_of)}
        return self._retrier.flow(Call(path="/v1/jobs", returns=Page, query={**query, **filters}))

    def facets(
        self,
        query: Mapping[str, str | int | None],
        tags: Mapping[str, str] | None,
        created_after: datetime | None,
        created_before: datetime | None,
    ) -> ApiFlow[Facets]:
        """Read what the jobs of a search have in common."""
        filters = _filters(tags, created_after, created_before)
        return self._retrier.flow(Call(path="/v1/jobs/search/facets", returns=Facets, query={**query, **filters}))

    def search_hints(self, q: str, at: int | None) -> ApiFlow[SearchHints]:
        """Read how a query can go on."""
        return self._retrier.flow(Call(path="/v1/jobs/search/hints", returns=SearchHints, query={"q": q, "at": at}))

    def timeline(self, job_id: str) -> ApiFlow[Timeline]:
        """Read what happened to a job."""
        return self._retrier.flow(Call(path=f"{_job_path(job_id)}/timeline", returns=Timeline))

    def dead_groups(self, type: str | None, since: datetime | timedelta | None, *, live: bool) -> ApiFlow[DeadGroups]:
        """Read the groups of dead jobs."""
        query = {"type": type, "since": _time(since), "live": "1" if live else None}
        return self._retrier.flow(Call(path="/v1/dead/groups", returns=DeadGroups, query=query))

    def dead(self, type: str | None, cursor: str | None, limit: int | None) -> ApiFlow[DeadLetterPage]:
        """Read a page of dead letters."""
        query = {"type": type, "cursor": cursor, "limit": limit}
        return self._retrier.flow(Call(path="/v1/dead", returns=DeadLetterPage, query=query))

    def act_on_dead(
        self, action: str, ids: Iterable[str] | None, type: str | None, limit: int
    ) -> ApiFlow[ActionReport]:
        """Redrive or discard dead letters. A repetition by type would act on further dead letters."""
        if (ids is None) == (type is None):
            raise TypeError(f"{action} needs either ids or a type")
        chosen = DeadLetterAction(ids=None if ids is None else list(ids), type=type, limit=limit)
        content = msgspec.msgpack.encode(chosen)
        path = f"/v1/dead/{action}"
        call = Call(method="POST", path=path, returns=ActionReport, content=content, repeatable=False)
        return self._retrier.flow(call)

    def queues(self) -> ApiFlow[list[QueueStatus]]:
        """Read the counts of every job type."""
        return self._listing("/v1/queues", ListPage[QueueStatus], limit=limits.MAX_PAGE)

    def queue(self, type: str) -> ApiFlow[QueueStatus]:
        """Read the counts of one job type."""
        return self._retrier.flow(Call(path=f"/v1/queues/{quote(type, safe='')}", returns=QueueStatus))

    def demand(self, types: Iterable[str] | None) -> ApiFlow[Demand]:
        """Read how many workers there should be."""
        if isinstance(types, str):
            raise TypeError("types are a list; one text would be taken for a list of letters")
        query = {"types": None if types is None else ",".join(types)}
        return self._retrier.flow(Call(path="/v1/demand", returns=Demand, query=query))

    def stats(
        self, type: str | None, since: datetime | timedelta | None, until: datetime | None, step: timedelta | None
    ) -> ApiFlow[Stats]:
        """Read statistics."""
        query = {"type": type, "from": _time(since), "to": _time(until), "step": _time(step)}
        return self._retrier.flow(Call(path="/v1/stats", returns=Stats, query=query))

    def stats_by_type(
        self, since: datetime | timedelta | None, until: datetime | None, step: timedelta | None, limit: int | None
    ) -> ApiFlow[StatsByType]:
        """Read statistics by type."""
        query = {"from": _time(since), "to": _time(until), "step": _time(step), "limit": limit}
        return self._retrier.flow(Call(path="/v1/stats/types", returns=StatsByType, query=query))

    def types(self) -> ApiFlow[list[TypeRegistration]]:
        """Read what workers have registered of the types they handle."""
        return self._listing("/v1/types", ListPage[TypeRegistration], limit=limits.MAX_PAGE)

    def job_type(self, type: str) -> ApiFlow[TypeRegistration]:
        """Read what workers have registered of one type."""
        return self._retrier.flow(Call(path=f"/v1/types/{quote(type, safe='')}", returns=TypeRegistration))

    def workers(self) -> ApiFlow[list[WorkerInfo]]:
        """Read the workers that are alive."""
        return self._listing("/v1/workers", ListPage[WorkerInfo], limit=limits.MAX_PAGE)

    def events(self, type: str | None, job_id: str | None) -> EventFlow:
        """Follow what happens to all jobs, those of a type, or one."""
        return EventFlow(self._retrier, Call(path="/v1/events", returns=bytes, query={"type": type, "job": job_id}))

    def incidents(self) -> ApiFlow[list[OpenIncident]]:
        """Read what is wrong for so long that people are told."""
        return self._listing("/v1/incidents", ListPage[OpenIncident])

    def system(self) -> ApiFlow[System]:
        """Read how the installation fares."""
        return self._retrier.flow(Call(path="/v1/system", returns=System))

    def webhooks(self) -> ApiFlow[list[Webhook]]:
        """Read all endpoints."""
        return self._listing("/v1/webhooks", ListPage[Webhook])

    def webhook(self, webhook_id: str) -> ApiFlow[Webhook]:
        """Read one endpoint."""
        return self._retrier.flow(Call(path=_webhook_path(webhook_id), returns=Webhook))

    def add_webhook(self, new: NewWebhook) -> ApiFlow[SecretWebhook]:
        """Make an endpoint. A repetition would make another one."""
        content = msgspec.msgpack.encode(new)
        call = Call(method="POST", path="/v1/webhooks", returns=SecretWebhook, content=content, repeatable=False)
        return self._retrier.flow(call)

    def change_webhook(self, webhook_id: str, changed: WebhookChange) -> ApiFlow[Webhook]:
        """Change an endpoint. A repetition changes nothing."""
        content = msgspec.msgpack.encode(changed)
        call = Call(method="PATCH", path=_webhook_path(webhook_id), returns=Webhook, content=content)
        return self._retrier.flow(call)

    def remove_webhook(self, webhook_id: str) -> ApiFlow[Webhook]:
        """Remove an endpoint."""
        path = _webhook_path(webhook_id)
        return self._retrier.flow(Call(method="DELETE", path=path, returns=Webhook, repeatable=False))

    def act_on_webhook(self, webhook_id: str, action: str) -> ApiFlow[Webhook]:
        """Enable or disable an endpoint. A repetition changes nothing."""
        return self._retrier.flow(Call(method="POST", path=f"{_webhook_path(webhook_id)}/{action}", returns=Webhook))

    def rotate_webhook(self, webhook_id: str) -> ApiFlow[SecretWebhook]:
        """Replace the secret of an endpoint. A repetition would replace it again."""
        path = f"{_webhook_path(webhook_id)}/rotate"
        return self._retrier.flow(Call(method="POST", path=path, returns=SecretWebhook, repeatable=False))

    def webhook_secret(self, webhook_id: str) -> ApiFlow[WebhookSecret]:
        """Read the secret of an endpoint."""
        return self._retrier.flow(Call(path=f"{_webhook_path(webhook_id)}/secret", returns=WebhookSecret))

    def test_webhook(self, webhook_id: str) -> ApiFlow[Job]:
        """Send a test to an endpoint."""
        path = f"{_webhook_path(webhook_id)}/test"
        return self._retrier.flow(Call(method="POST", path=path, returns=Job, repeatable=False))

    def webhook_deliveries(self, webhook_id: str, cursor: str | None, limit: int | None) -> ApiFlow[Page]:
        """Read a page of deliveries."""
        path, query = f"{_webhook_path(webhook_id)}/deliveries", {"cursor": cursor, "limit": limit}
        return self._retrier.flow(Call(path=path, returns=Page, query=query))

    def redeliver(self, webhook_id: str, job_id: str) -> ApiFlow[Job]:
        """Deliver an event once more."""
        path = f"{_webhook_path(webhook_id)}/deliveries/{quote(job_id, safe='')}/redeliver"
        return self._retrier.flow(Call(method="POST", path=path, returns=Job, repeatable=False))

    def start_operation(self, new: NewOperation) -> ApiFlow[BulkOperation]:
        """Start an operation on many dead jobs. A repetition would start another one."""
        content = msgspec.msgpack.encode(new)
        call = Call(method="POST", path="/v1/operations", returns=BulkOperation, content=content, repeatable=False)
        return self._retrier.flow(call)

    def operations(self, limit: int) -> ApiFlow[ListPage[BulkOperation]]:
        """Read the newest operations."""
        return self._retrier.flow(Call(path="/v1/operations", returns=ListPage[BulkOperation], query={"limit": limit}))

    def operation(self, operation_id: str) -> ApiFlow[BulkOperation]:
        """Read an operation."""
        return self._retrier.flow(Call(path=_operation_path(operation_id), returns=BulkOperation))

    def steer_operation(self, operation_id: str, verb: str) -> ApiFlow[BulkOperation]:
        """Pause, resume or cancel an operation. A repetition of one that was carried out is refused."""
        path = f"{_operation_path(operation_id)}/{verb}"
        return self._retrier.flow(Call(method="POST", path=path, returns=BulkOperation, repeatable=False))

    def schedules(self, query: Mapping[str, str | int | None]) -> ApiFlow[SchedulePage]:
        """Read a page of schedules."""
        return self._retrier.flow(Call(path="/v1/schedules", returns=SchedulePage, query=query))

    def schedule(self, name: str) -> ApiFlow[Schedule]:
        """Read a schedule."""
        return self._retrier.flow(Call(path=_schedule_path(name), returns=Schedule))

    def put_schedule(self, name: str, definition: ScheduleDefinition) -> ApiFlow[Schedule]:
        """Make or replace a schedule. A repetition changes nothing."""
        content = msgspec.msgpack.encode(definition)
        return self._retrier.flow(Call(method="PUT", path=_schedule_path(name), returns=Schedule, content=content))

    def remove_schedule(self, name: str) -> ApiFlow[Schedule]:
        """Remove a schedule."""
        return self._retrier.flow(Call(method="DELETE", path=_schedule_path(name), returns=Schedule, repeatable=False))

    def steer_schedule(self, name: str, verb: str) -> ApiFlow[Schedule]:
        """Pause or resume a schedule. A repetition changes nothing."""
        return self._retrier.flow(Call(method="POST", path=f"{_schedule_path(name)}/{verb}", returns=Schedule))

    def run_schedule(self, name: str, idempotency_key: str | None) -> ApiFlow[ScheduleRun]:
        """Submit the job of a schedule now. The idempotency key makes it one job."""
        headers = {"idempotency-key": checked_key(idempotency_key)}
        path = f"{_schedule_path(name)}/run"
        return self._retrier.flow(Call(method="POST", path=path, returns=ScheduleRun, headers=headers))

    def next_occasions(self, name: str, n: int) -> ApiFlow[ScheduleOccasions]:
        """Read when a schedule fires next."""
        path = f"{_schedule_path(name)}/next"
        return self._retrier.flow(Call(path=path, returns=ScheduleOccasions, query={"n": n}))

    def start_backfill(self, name: str, asked: BackfillRequest, idempotency_key: str | None) -> ApiFlow[Backfill]:
        """Run the occasions of a range again. The idempotency key makes it one backfill."""
        headers = {"idempotency-key": checked_key(idempotency_key)}
        path, content = f"{_schedule_path(name)}/backfill", msgspec.msgpack.encode(asked)
        call = Call(method="POST", path=path, returns=Backfill, content=content, headers=headers)
        return self._retrier.flow(call)

    def backfills(self, name: str) -> ApiFlow[BackfillPage]:
        """Read the backfills of a schedule."""
        return self._retrier.flow(Call(path=f"{_schedule_path(name)}/backfills", returns=BackfillPage))

    def backfill(self, name: str, backfill_id: str) -> ApiFlow[Backfill]:
        """Read a backfill."""
        return self._retrier.flow(Call(path=_backfill_path(name, backfill_id), returns=Backfill))

    def cancel_backfill(self, name: str, backfill_id: str) -> ApiFlow[Backfill]:
        """End a backfill. A repetition of one that was carried out is refused."""
        path = f"{_backfill_path(name, backfill_id)}/cancel"
        return self._retrier.flow(Call(method="POST", path=path, returns=Backfill, repeatable=False))

    def health(self) -> ApiFlow[dict[str, Any]]:
        """Read the health of the service, also when it is bad."""
        call = Call(path="/health", returns=dict[str, Any], good_statuses=frozenset({200, 503}))
        return self._retrier.flow(call)

    def _listing(self, path: str, page_type: type[ListPage[T]], *, limit: int | None = None) -> ApiFlow[list[T]]:
        """Read all of a list; `limit` is the length of its pages, where it has any."""
        items: list[T] = []
        cursor: str | None = None
        while True:
            call = Call(path=path, returns=page_type, query={"cursor": cursor, "limit": limit})
            page = yield from self._retrier.flow(call)
            items += page.items
            cursor = page.next_cursor
            if not cursor:
                return items


def checked_key(idempotency_key: str | None) -> str:
    """Return the key, or a fresh one for None. Raises: ValueError, when the key cannot stand in a header."""
    if idempotency_key is None:
        return str(uuid.uuid4())
    check_idempotency_key(idempotency_key)
    return idempotency_key


def _filters(
    tags: Mapping[str, str] | None, created_after: datetime | None, created_before: datetime | None
) -> dict[str, str | None]:
    """Return the parameters beside the query by which jobs are searched for."""
    times = {"created_after": _time(created_after), "created_before": _time(created_before)}
    return {**times, **{f"tag.{name}": text for name, text in (tags or {}).items()}}


def _time(value: datetime | timedelta | None) -> str | None:
    """Return a time as the API takes it: RFC 3339, or a length in seconds. Raises: ValueError, without a time zone."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("a time needs a time zone, as in datetime.now(UTC)")
    if isinstance(value, timedelta):
        return f"{value // timedelta(seconds=1)}s"
    return None if value is None else value.isoformat()


def _operation_path(operation_id: str) -> str:
    return f"/v1/operations/{quote(operation_id, safe='')}"


def _schedule_path(name: str) -> str:
    return f"/v1/schedules/{quote(name, safe='')}"


def _backfill_path(name: str, backfill_id: str) -> str:
    return f"{_schedule_path(name)}/backfills/{quote(backfill_id, safe='')}"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _webhook_path(webhook_id: str) -> str:
    return f"/v1/webhooks/{quote(webhook_id, safe='')}"


def _all_refused(error: ApiError, start: int, count: int) -> list[BatchItem]:
    status = error.problem.status
    return [BatchItem(index=start + n, status=status, problem=error.problem) for n in range(count)]
