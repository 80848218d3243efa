"""The client for programs without an event loop, generated from `async_client.py` by `make generate`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, Unpack, overload

from millstream.client.api import Api
from millstream.client.event_flow import Notice
from millstream.client.new_webhooks import new_webhook, webhook_change
from millstream.client.retrier import Retrier
from millstream.client.transport import HttpClient, SyncTransport, checked_url
from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.new_job import NewJob, new_jobs
from millstream.jobs.result_reader import read_result
from millstream.jobs.submit_options import SubmitOptions
from millstream.jobs.sync_job_handle import SyncJobHandle
from millstream.payloads import DataType
from millstream.schedules import ScheduleOptions, schedule_definition
from millstream.seconds import Seconds
from millstream_contracts import (
    ENDS,
    ActionReport,
    Backfill,
    BackfillRequest,
    BatchReceipt,
    BulkOperation,
    Canary,
    DeadGroups,
    DeadLetterPage,
    Demand,
    ExportOptions,
    Facets,
    Job,
    JobEvent,
    JobId,
    JobStack,
    LiveEvent,
    NewOperation,
    OpenIncident,
    OperationGroup,
    OperationKind,
    Page,
    QueueStatus,
    Schedule,
    ScheduleOccasion,
    ScheduleOwner,
    SchedulePage,
    ScheduleRun,
    ScheduleState,
    SearchHints,
    SecretWebhook,
    Stats,
    StatsByType,
    System,
    Timeline,
    TypeRegistration,
    Webhook,
    WebhookSecret,
    WorkerInfo,
)

P = TypeVar("P")
R = TypeVar("R")
T = TypeVar("T")


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

    @overload
    def submit(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncJobHandle[R]: ...

    @overload
    def submit(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> SyncJobHandle[R]: ...

    @overload
    def submit(
        self, job: str, payload: Any = None, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> SyncJobHandle[Any]: ...

    def submit(
        self,
        job: str | JobRef[Any, Any],
        payload: Any = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncJobHandle[Any]:
        """Submit one job of a handler, a contract, or a type by its name, whose result can then be anything.

        With an `idempotency_key` of your own, a later call with the same key and job returns the same job, for 24
        hours. Raises: TypeError for an unknown option, InvalidError, UnavailableError, ApiError.
        """
        new_job = NewJob(job, payload, **options)
        stored = self._transport.run(self._api.submit(new_job, idempotency_key))
        return SyncJobHandle(self, stored, gives_of(job))

    @overload
    def submit_many(self, jobs: Iterable[NewJob], *, idempotency_key: str | None = None) -> BatchReceipt: ...

    @overload
    def submit_many(
        self,
        jobs: JobRef[P, Any],
        payloads: Iterable[P],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

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
        jobs: str | JobRef[Any, Any] | Iterable[NewJob],
        payloads: Iterable[Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt:
        """Submit many jobs: `submit_many(send, payloads, priority="low")`, or a list of `NewJob`.

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

    @overload
    def job(self, job: JobRef[Any, R], job_id: str) -> SyncJobHandle[R]: ...

    @overload
    def job(self, job: str, job_id: str) -> SyncJobHandle[Any]: ...

    def job(self, job: str | JobRef[Any, Any], job_id: str) -> SyncJobHandle[Any]:
        """Return a handle on a job whose id is known, and whose handler, contract or type. Makes no request."""
        return SyncJobHandle(self, JobId(job_id), gives_of(job))

    @overload
    def result(self, job_id: str, timeout: float = 30.0) -> Any: ...

    @overload
    def result(self, job_id: str, timeout: float = 30.0, *, into: type[T]) -> T: ...

    @overload
    def result(self, job: JobRef[Any, R], job_id: str, /, timeout: float = 30.0) -> R: ...

    def result(self, *args: Any, **options: Any) -> Any:
        """Return what a job's handler returned, waiting at most `timeout` seconds for it.

        `result(charge, job_id)` returns it as the type that `charge` gives; `result(job_id)` as plain data, or as what
        `into` says. Raises: JobFailedError, WaitTimeoutError, ResultError, ApiError.
        """
        job, *rest = args if args and isinstance(args[0], JobRef) else ("", *args)
        return self._result(job, *rest, **options)

    def stack(self, job_id: str) -> JobStack:
        """Return where the handler of a running job is now; `str` of it is the stack.

        Raises: ConflictError when it does not run, UnavailableError when its worker does not answer, ApiError.
        """
        return self._transport.run(self._api.stack(job_id))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: a waiting one ends at once, a running one is asked to stop. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.cancel(job_id))

    def retry(self, job_id: str) -> Job:
        """Have a job run again now. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.retry(job_id))

    def timeline(self, job_id: str) -> Timeline:
        """Return all that happened to a job, each attempt with its error. It needs a history. Raises: ApiError."""
        return self._transport.run(self._api.timeline(job_id))

    def jobs(
        self,
        q: str | None = None,
        *,
        type: str | None = None,
        state: str | None = None,
        tags: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        as_of: datetime | None = None,
        count: bool = False,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page:
        """Return a page of jobs; `next_cursor` leads to the next.

        With `q` (docs/history/searching.md), tags, times, a count or a state that is an end, it is a page of a search,
        which needs a history. A page that is not `complete` had no more time, and the next one goes on; `search`
        follows them. `as_of` searches as at a time: relative times count from it. Raises: ValueError, ApiError.
        """
        query = {"q": q, "type": type, "state": state, "cursor": cursor, "limit": limit, "count": int(count) or None}
        return self._transport.run(self._api.jobs(query, tags, created_after, created_before, as_of))

    def search(
        self,
        q: str = "",
        *,
        type: str | None = None,
        state: str | None = None,
        tags: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 100,
    ) -> Iterator[Job]:
        """Yield the jobs that a search of the history finds, newest first, page by page until there are no more.

        `for job in client.search("state:dead since:1d")`. Raises: ValueError, ApiError.
        """
        cursor: str | None = None
        while True:
            page = self.jobs(
                q,
                type=type,
                state=state,
                tags=tags,
                created_after=created_after,
                created_before=created_before,
                cursor=cursor,
                limit=page_size,
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def search_hints(self, q: str, at: int | None = None) -> SearchHints:
        """Return how a query can go on at a place in it, counted in characters; by default at its end.

        It needs a history. Raises: ApiError.
        """
        return self._transport.run(self._api.search_hints(q, at))

    def facets(
        self,
        q: str = "",
        *,
        type: str | None = None,
        state: str | None = None,
        tags: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> Facets:
        """Return what the jobs that a search finds have in common: states, types, workers, errors, tags.

        They are counted in the newest jobs; `complete` says whether these are all. A field that `q` has a condition on
        is counted without that condition. Raises: ValueError, ApiError.
        """
        query = {"q": q, "type": type, "state": state}
        return self._transport.run(self._api.facets(query, tags, created_after, created_before))

    def dead(self, *, type: str | None = None, cursor: str | None = None, limit: int | None = None) -> DeadLetterPage:
        """Return a page of dead letters, newest first. Raises: ApiError."""
        return self._transport.run(self._api.dead(type, cursor, limit))

    def dead_groups(
        self, *, type: str | None = None, since: datetime | timedelta | None = None, live: bool = False
    ) -> DeadGroups:
        """Return the dead jobs of the history in groups that died of the same, the largest first.

        `since` is a time of submission, or how long ago it was. With `live` each group has how many jobs failed in the
        same way and have not ended, which takes longer than all the rest. It needs a history.

        Raises: ValueError, ApiError.
        """
        return self._transport.run(self._api.dead_groups(type, since, live=live))

    def redrive(self, *, ids: Iterable[str] | None = None, type: str | None = None, limit: int = 1000) -> ActionReport:
        """Run dead jobs again, by ids or up to `limit` of a type. Raises: TypeError, ApiError."""
        return self._transport.run(self._api.act_on_dead("redrive", ids, type, limit))

    def discard(self, *, ids: Iterable[str] | None = None, type: str | None = None, limit: int = 1000) -> ActionReport:
        """Cancel dead jobs for good, by ids or up to `limit` of a type. Raises: TypeError, ApiError."""
        return self._transport.run(self._api.act_on_dead("discard", ids, type, limit))

    def queues(self) -> list[QueueStatus]:
        """Return the counts of every job type. Raises: ApiError."""
        return self._transport.run(self._api.queues())

    def queue(self, type: str) -> QueueStatus:
        """Return the counts of one job type. Raises: ApiError."""
        return self._transport.run(self._api.queue(type))

    def demand(self, types: Iterable[str] | None = None) -> Demand:
        """Return how many workers there should be for some job types, which may be patterns, or for all.

        Raises: TypeError, ApiError.
        """
        return self._transport.run(self._api.demand(types))

    def stats(
        self,
        *,
        type: str | None = None,
        since: datetime | timedelta | None = None,
        until: datetime | None = None,
        step: timedelta | None = None,
    ) -> Stats:
        """Return how many jobs of a type, or of all, came and ended in each step of a time, and how long they took.

        `since` is a time, or how long ago it was, by default an hour. It needs a history. Raises: ValueError, ApiError.
        """
        return self._transport.run(self._api.stats(type, since, until, step))

    def stats_by_type(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | None = None,
        step: timedelta | None = None,
        limit: int | None = None,
    ) -> StatsByType:
        """Return what each type did in a time, the busiest first: totals, and a number for each step.

        Times are as those of `stats`. `limit` bounds the types, by default to 200. Raises: ValueError, ApiError.
        """
        return self._transport.run(self._api.stats_by_type(since, until, step, limit))

    def types(self) -> list[TypeRegistration]:
        """Return what workers have registered of the types they handle. Raises: ApiError."""
        return self._transport.run(self._api.types())

    def job_type(self, type: str) -> TypeRegistration:
        """Return what workers have registered of one type. Raises: ApiError."""
        return self._transport.run(self._api.job_type(type))

    def workers(self) -> list[WorkerInfo]:
        """Return the workers that are alive. Raises: ApiError."""
        return self._transport.run(self._api.workers())

    def events(
        self, *, type: str | None = None, job: str | None = None, on_gap: Callable[[], None] | None = None
    ) -> Iterator[LiveEvent]:
        """Yield what happens to jobs from now on: to all, to those of a type, or to one job by its id.

        An interrupted stream is resumed where it ended, so an event may come twice: of two events of one job the later
        has the larger `version`. `on_gap` is called where events are missing. It does not end by itself.
        Raises: ApiError.
        """
        with closing(self._transport.follow(self._api.events(type, job))) as signals:
            for signal in signals:
                if isinstance(signal, LiveEvent):
                    yield signal
                elif signal is Notice.GAP and on_gap is not None:
                    on_gap()

    def updates(self, job_id: str) -> Iterator[Job]:
        """Yield a job as it is now, and again each time that it has moved, until it has ended or is dead.

        Of two moves in short succession only the second may be seen. Raises: JobNotFoundError, ApiError.
        """
        version = -1
        with closing(self._transport.follow(self._api.events(None, job_id))) as signals:
            # The first signal comes once the stream is open, so that nothing can happen unseen after this first read.
            for _ in signals:
                job = self.get(job_id)
                if job.version > version:
                    version = job.version
                    yield job
                if job.state.is_settled:
                    return

    def incidents(self) -> list[OpenIncident]:
        """Return what is wrong for so long that people are told, oldest first. Raises: ApiError."""
        return self._transport.run(self._api.incidents())

    def system(self) -> System:
        """Return how the installation fares: Redis, the history, the processes of services, and what needs a look.

        Raises: ApiError.
        """
        return self._transport.run(self._api.system())

    def webhooks(self) -> list[Webhook]:
        """Return the endpoints of webhooks, oldest first. Raises: ApiError."""
        return self._transport.run(self._api.webhooks())

    def webhook(self, webhook_id: str) -> Webhook:
        """Return an endpoint. Raises: ApiError."""
        return self._transport.run(self._api.webhook(webhook_id))

    def add_webhook(
        self,
        url: str,
        *,
        types: Iterable[str] = ("*",),
        events: Iterable[JobEvent | str] = ENDS,
        payloads: bool = False,
        description: str = "",
    ) -> SecretWebhook:
        """Make an endpoint that gets these events of jobs of these types, which may be patterns. Returns: its secret.

        Raises: TypeError, ValueError for a word that is no event, InvalidError, ApiError.
        """
        new = new_webhook(url, types, events, payloads=payloads, description=description)
        return self._transport.run(self._api.add_webhook(new))

    def change_webhook(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        types: Iterable[str] | None = None,
        events: Iterable[JobEvent | str] | None = None,
        payloads: bool | None = None,
        description: str | None = None,
    ) -> Webhook:
        """Change what is given of an endpoint. Raises: as `add_webhook`."""
        changed = webhook_change(url, types, events, payloads=payloads, description=description)
        return self._transport.run(self._api.change_webhook(webhook_id, changed))

    def remove_webhook(self, webhook_id: str) -> Webhook:
        """Remove an endpoint. Returns: it as it was. Raises: ApiError."""
        return self._transport.run(self._api.remove_webhook(webhook_id))

    def enable_webhook(self, webhook_id: str) -> Webhook:
        """Let an endpoint get events again. Raises: ApiError."""
        return self._transport.run(self._api.act_on_webhook(webhook_id, "enable"))

    def disable_webhook(self, webhook_id: str) -> Webhook:
        """Let an endpoint get no more events. Raises: ApiError."""
        return self._transport.run(self._api.act_on_webhook(webhook_id, "disable"))

    def rotate_webhook(self, webhook_id: str) -> SecretWebhook:
        """Replace the secret of an endpoint; for 24 hours calls have the signatures of both. Raises: ApiError."""
        return self._transport.run(self._api.rotate_webhook(webhook_id))

    def webhook_secret(self, webhook_id: str = "callbacks") -> WebhookSecret:
        """Return the secret of an endpoint, or that of the callbacks of jobs. Raises: ApiError."""
        return self._transport.run(self._api.webhook_secret(webhook_id))

    def test_webhook(self, webhook_id: str) -> Job:
        """Send a test to an endpoint. Returns: the job that delivers it. Raises: ApiError."""
        return self._transport.run(self._api.test_webhook(webhook_id))

    def webhook_deliveries(self, webhook_id: str, *, cursor: str | None = None, limit: int | None = None) -> Page:
        """Return a page of the deliveries of an endpoint, newest first, or of `callbacks`. Raises: ApiError."""
        return self._transport.run(self._api.webhook_deliveries(webhook_id, cursor, limit))

    def redeliver(self, webhook_id: str, job_id: str) -> Job:
        """Deliver the event of a delivery once more. Returns: the new delivery. Raises: ApiError."""
        return self._transport.run(self._api.redeliver(webhook_id, job_id))

    def start_operation(
        self,
        kind: OperationKind,
        *,
        q: str | None = None,
        ids: Iterable[str] | None = None,
        group: OperationGroup | None = None,
        rate: float = 50.0,
        canary: Canary | None = None,
        dry_run: bool = False,
        patch: Mapping[str, Any] | None = None,
        export: ExportOptions | None = None,
    ) -> BulkOperation:
        """Have many jobs redriven, patched, discarded, erased or exported: those of a search, of ids, or of a group.

        The service goes on with it by itself, `rate` jobs a second, also when it is restarted. With a `canary` it tries
        some jobs first. `dry_run` only counts. `patch` changes payloads, by a JSON Merge Patch. `cancel` is about jobs
        that have not settled, `erase` and `export` about jobs in any state. Raises: ApiError.
        """
        new = NewOperation(
            kind=kind,
            q=q,
            ids=None if ids is None else list(ids),
            group=group,
            rate=rate,
            canary=canary,
            dry_run=dry_run,
            patch=None if patch is None else dict(patch),
            export=export,
        )
        return self._transport.run(self._api.start_operation(new))

    def operations(self, *, limit: int = 50) -> list[BulkOperation]:
        """Return the newest operations on many jobs. Raises: ApiError."""
        return (self._transport.run(self._api.operations(limit))).items

    def operation(self, operation_id: str) -> BulkOperation:
        """Return an operation as it is now. Raises: ApiError."""
        return self._transport.run(self._api.operation(operation_id))

    def pause_operation(self, operation_id: str) -> BulkOperation:
        """Pause an operation; the page that is under way is finished. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.steer_operation(operation_id, "pause"))

    def resume_operation(self, operation_id: str) -> BulkOperation:
        """Let a paused operation go on. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.steer_operation(operation_id, "resume"))

    def cancel_operation(self, operation_id: str) -> BulkOperation:
        """End an operation; what it has done stays done. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.steer_operation(operation_id, "cancel"))

    def schedules(
        self,
        *,
        state: ScheduleState | str | None = None,
        owner: ScheduleOwner | None = None,
        type: str | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> SchedulePage:
        """Return a page of schedules, by name; `name` is how their names begin. Raises: ApiError."""
        query = {"state": state, "owner": owner, "type": type, "name": name, "cursor": cursor, "limit": limit}
        return self._transport.run(self._api.schedules(query))

    def schedule(self, name: str) -> Schedule:
        """Return a schedule as it is now. Raises: ApiError."""
        return self._transport.run(self._api.schedule(name))

    def put_schedule(
        self,
        name: str,
        when: str | Seconds | datetime,
        job: NewJob,
        *,
        description: str = "",
        paused: bool | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Make or replace a schedule that submits a job by the clock.

        `when` is a cron expression, an interval, or the moment of the one occasion. `paused` leaves a schedule that is
        there as it is by default. Raises: TypeError for an unknown option, ValueError, InvalidError, ApiError.
        """
        asked = schedule_definition(name, when, job.content, description=description, paused=paused, **options)
        return self._transport.run(self._api.put_schedule(name, asked))

    def remove_schedule(self, name: str) -> Schedule:
        """Remove a schedule with its backfills. Returns: it as it was. Raises: ApiError."""
        return self._transport.run(self._api.remove_schedule(name))

    def pause_schedule(self, name: str) -> Schedule:
        """Pause a schedule: occasions in a pause do not take place. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.steer_schedule(name, "pause"))

    def resume_schedule(self, name: str) -> Schedule:
        """Let a schedule go on, with the first occasion from now on. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.steer_schedule(name, "resume"))

    def run_schedule(self, name: str, *, idempotency_key: str | None = None) -> ScheduleRun:
        """Submit the job of a schedule now, also of a paused one. Returns: the id of the job. Raises: ApiError."""
        return self._transport.run(self._api.run_schedule(name, idempotency_key))

    def next_occasions(self, name: str, n: int = 10) -> list[ScheduleOccasion]:
        """Return when a schedule fires next, soonest first; of a paused one, as if it was resumed. Raises: ApiError."""
        return (self._transport.run(self._api.next_occasions(name, n))).items

    def start_backfill(
        self,
        name: str,
        start: datetime,
        end: datetime,
        *,
        parallel: int = 1,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Backfill:
        """Run the occasions of a schedule from `start` until before `end` again, `parallel` of them at a time.

        `dry_run` counts them and starts nothing. Raises: InvalidError, ApiError.
        """
        asked = BackfillRequest(from_=start, to=end, parallel=parallel, dry_run=dry_run)
        return self._transport.run(self._api.start_backfill(name, asked, idempotency_key))

    def backfills(self, name: str) -> list[Backfill]:
        """Return the backfills of a schedule, latest first. Raises: ApiError."""
        return (self._transport.run(self._api.backfills(name))).items

    def backfill(self, name: str, backfill_id: str) -> Backfill:
        """Return a backfill as it is now. Raises: ApiError."""
        return self._transport.run(self._api.backfill(name, backfill_id))

    def cancel_backfill(self, name: str, backfill_id: str) -> Backfill:
        """End a backfill; its jobs that have started go on. Raises: ConflictError, ApiError."""
        return self._transport.run(self._api.cancel_backfill(name, backfill_id))

    def health(self) -> dict[str, Any]:
        """Return the health of the service, also when it is bad. Raises: ApiError."""
        return self._transport.run(self._api.health())

    def _result(
        self,
        job: str | JobRef[Any, Any],
        job_id: str,
        timeout: float = 30.0,
        *,
        into: Any = None,
    ) -> Any:
        value = self._transport.run(self._api.result(job_id, timeout))
        return read_result(value, gives_of(job) if into is None else DataType(into, is_result=True), job_id)
