"""The client for programs that run on an event loop. `sync_client.py` is generated from this module."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, Unpack, overload

from millstream.batches.batch_handle import BatchBlock, BatchHandle
from millstream.batches.new_batch import CallbackJob, batch_fields
from millstream.client.api import Api
from millstream.client.audit_api import audit_query
from millstream.client.event_flow import Notice
from millstream.client.new_keys import key_rotation, new_key, new_session
from millstream.client.new_tenants import new_tenant, tenant_change
from millstream.client.new_webhooks import new_webhook, webhook_change
from millstream.client.retrier import Retrier
from millstream.client.token_source import AsyncToken, credential_header
from millstream.client.transport import AsyncHttpClient, AsyncTransport, checked_url
from millstream.jobs.job_handle import JobHandle
from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.new_job import NewJob, new_jobs
from millstream.jobs.result_reader import read_result
from millstream.jobs.signal import Signal
from millstream.jobs.submit_options import SubmitOptions
from millstream.payloads import DataType
from millstream.schedules import ScheduleOptions, schedule_definition
from millstream.seconds import Seconds
from millstream.workflows.workflow import Workflow
from millstream.workflows.workflow_run import WorkflowRun
from millstream_contracts import (
    ENDS,
    MASKED,
    SECRETS_HEADER,
    ActionReport,
    ApiKey,
    ApiKeyChange,
    ApiKeyPage,
    AskedKind,
    AuditChain,
    AuditLink,
    AuditOutcome,
    AuditPage,
    AuditRecord,
    AuditVerification,
    Backfill,
    BackfillRequest,
    BatchId,
    BatchMemberPage,
    BatchPage,
    BatchReceipt,
    BatchState,
    BatchStatus,
    Breaker,
    BulkOperation,
    Canary,
    ChainChecker,
    DeadGroups,
    DeadLetterPage,
    Demand,
    ExportOptions,
    Facets,
    Job,
    JobDependencies,
    JobEvent,
    JobExplanation,
    JobId,
    JobStack,
    JobSteps,
    KeyLimits,
    LiveEvent,
    MemberState,
    NewOperation,
    NodeFilter,
    OpenIncident,
    OperationGroup,
    Page,
    PrincipalInfo,
    Priority,
    PriorityName,
    QueueKeyPage,
    QueueLimits,
    QueueSettings,
    QueueStatus,
    RequestLimits,
    Role,
    Schedule,
    ScheduleOccasion,
    ScheduleOwner,
    SchedulePage,
    SchedulePreview,
    ScheduleRun,
    ScheduleState,
    Scope,
    SearchHints,
    SecretApiKey,
    SecretSession,
    SecretWebhook,
    Session,
    SessionPage,
    SignalReceipt,
    Stats,
    StatsByType,
    System,
    Template,
    TemplatePage,
    TenantEncryption,
    TenantInfo,
    TenantPage,
    Timeline,
    TypeRegistration,
    Webhook,
    WebhookSecret,
    WorkerInfo,
    WorkflowNodePage,
    WorkflowPage,
    WorkflowState,
    WorkflowStatus,
)

P = TypeVar("P")
R = TypeVar("R")
T = TypeVar("T")


class Client:
    """Submits jobs over HTTP and follows them. Tasks may share one client.

    Each request is repeated, with growing random pauses and never before `Retry-After`, while the service cannot be
    reached or responds with 429, 502, 503 or 504, until `retry_for_s` seconds after the first failure. Submissions
    carry an `Idempotency-Key`, so a repetition after a lost response makes no second job. `retry`, `redrive` and
    `discard` have no such key: they are not repeated once the service may have carried them out.

    `api_key` is the key that requests carry, where the service asks for one. In its place `token` is a token of an
    issuer that the service trusts, or a function that returns one: it is called before the first request, again
    before the token ends, and once when a token is refused, after which the request is sent again.

    `mask_secrets` asks for `***` in the place of each value that a handler declares as `Secret`: for a client that
    shows jobs, and has no use for what is in them.

    `timeout_s` bounds the silence before and within one response. `headers` go with every request. `http` replaces the
    client's own connections (proxies, certificates): it is an `AsyncClient` of httpx2 or httpx, and stays open when the
    client is closed.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        token: AsyncToken | None = None,
        retry_for_s: float = 30.0,
        timeout_s: float = 30.0,
        mask_secrets: bool = False,
        headers: Mapping[str, str] | None = None,
        http: AsyncHttpClient | None = None,
    ) -> None:
        base_url = checked_url(url)
        masking = {SECRETS_HEADER: MASKED} if mask_secrets else {}
        sent = {**credential_header(api_key, token), **masking, **(headers or {})}
        self._api = Api(Retrier(base_url, retry_for_s=retry_for_s, timeout_s=timeout_s, headers=sent))
        self._transport = AsyncTransport(base_url, http, token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    @overload
    async def submit(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> JobHandle[R]: ...

    @overload
    async def submit(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> JobHandle[R]: ...

    @overload
    async def submit(
        self, job: str, payload: Any = None, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> JobHandle[Any]: ...

    async def submit(
        self,
        job: str | JobRef[Any, Any],
        payload: Any = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> JobHandle[Any]:
        """Submit one job of a handler, a contract, or a type by its name, whose result can then be anything.

        With an `idempotency_key` of your own, a later call with the same key and job returns the same job, for 24
        hours. Where another job holds its unique key and is returned, `unique_conflict` of the handle is true.
        Raises: TypeError for an unknown option, InvalidError, UnavailableError, ApiError.
        """
        new_job = NewJob(job, payload, **options)
        stored, is_holder = await self._transport.run(self._api.submit(new_job, idempotency_key))
        return JobHandle(self, stored, gives_of(job), unique_conflict=is_holder)

    @overload
    async def submit_many(self, jobs: Iterable[NewJob], *, idempotency_key: str | None = None) -> BatchReceipt: ...

    @overload
    async def submit_many(
        self,
        jobs: JobRef[P, Any],
        payloads: Iterable[P],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

    @overload
    async def submit_many(
        self,
        jobs: str,
        payloads: Iterable[Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

    async def submit_many(
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
        return await self._transport.run(self._api.submit_many(many, idempotency_key))

    async def get(self, job_id: str) -> Job:
        """Return a job. Raises: JobNotFoundError, ApiError."""
        return await self._transport.run(self._api.get(job_id))

    async def wait(self, job_id: str, timeout: float = 30.0) -> Job:  # noqa: ASYNC109 - as above
        """Return a job once it has ended or is dead, waiting at most `timeout` seconds.

        Raises: WaitTimeoutError, JobNotFoundError, ApiError.
        """
        return await self._transport.run(self._api.wait(job_id, timeout))

    @overload
    def job(self, job: JobRef[Any, R], job_id: str) -> JobHandle[R]: ...

    @overload
    def job(self, job: str, job_id: str) -> JobHandle[Any]: ...

    def job(self, job: str | JobRef[Any, Any], job_id: str) -> JobHandle[Any]:
        """Return a handle on a job whose id is known, and whose handler, contract or type. Makes no request."""
        return JobHandle(self, JobId(job_id), gives_of(job))

    @overload
    async def result(self, job_id: str, timeout: float = 30.0) -> Any: ...  # noqa: ASYNC109 - as above

    @overload
    async def result(self, job_id: str, timeout: float = 30.0, *, into: type[T]) -> T: ...  # noqa: ASYNC109

    @overload
    async def result(self, job: JobRef[Any, R], job_id: str, /, timeout: float = 30.0) -> R: ...  # noqa: ASYNC109

    async def result(self, *args: Any, **options: Any) -> Any:
        """Return what a job's handler returned, waiting at most `timeout` seconds for it.

        `result(charge, job_id)` returns it as the type that `charge` gives; `result(job_id)` as plain data, or as what
        `into` says. Raises: JobFailedError, WaitTimeoutError, ResultError, ApiError.
        """
        job, *rest = args if args and isinstance(args[0], JobRef) else ("", *args)
        return await self._result(job, *rest, **options)

    async def dependencies(self, job_id: str) -> JobDependencies:
        """Return what a job waits for, and what waits for it. Raises: JobNotFoundError, ApiError."""
        return await self._transport.run(self._api.dependencies(job_id))

    async def explain(self, job_id: str) -> JobExplanation:
        """Return why a job does not run, and what would have it go on. Raises: JobNotFoundError, ApiError."""
        return await self._transport.run(self._api.explain(job_id))

    async def stack(self, job_id: str) -> JobStack:
        """Return where the handler of a running job is now; `str` of it is the stack.

        Raises: ConflictError when it does not run, UnavailableError when its worker does not answer, ApiError.
        """
        return await self._transport.run(self._api.stack(job_id))

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job: a waiting one ends at once, a running one is asked to stop. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.cancel(job_id))

    async def retry(self, job_id: str, *, fresh: bool = False) -> Job:
        """Have a job run again now; a `fresh` one has no step of its durable handler behind it.

        Raises: ConflictError, ApiError.
        """
        return await self._transport.run(self._api.retry(job_id, fresh=fresh))

    async def run_now(self, job_id: str) -> Job:
        """Have a job ready that was to run later, a retry too. Limits and pauses hold for it all the same.

        Raises: ConflictError when it waits for other jobs, is dead or has ended; ApiError.
        """
        return await self._transport.run(self._api.run_now(job_id))

    async def set_priority(self, job_id: str, priority: PriorityName) -> Job:
        """Change the priority of a job that has not started.

        Raises: ValueError, for any other word; ConflictError when it has started; ApiError.
        """
        return await self._transport.run(self._api.set_priority(job_id, priority))

    @overload
    async def signal(
        self, job_id: str, signal: Signal[None], payload: None = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt: ...

    @overload
    async def signal(
        self, job_id: str, signal: Signal[P], payload: P, *, idempotency_key: str | None = None
    ) -> SignalReceipt: ...

    @overload
    async def signal(
        self, job_id: str, signal: str, payload: Any = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt: ...

    async def signal(
        self, job_id: str, signal: Any, payload: Any = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt:
        """Send a signal to a job, whose durable handler waits for it, or will.

        Raises: ConflictError when the job has ended, JobNotFoundError, TypeError, ApiError.
        """
        return await self._transport.run(self._api.signal(job_id, signal, payload, idempotency_key))

    async def steps(self, job_id: str) -> JobSteps:
        """Return what the durable handler of a job has stored. Raises: JobNotFoundError, ApiError."""
        return await self._transport.run(self._api.steps(job_id))

    async def timeline(self, job_id: str, *, logs: bool = False) -> Timeline:
        """Return all that happened to a job, each attempt with its error. It needs a history. Raises: ApiError.

        With `logs` the attempts of which log lines are kept have the last of them.
        """
        return await self._transport.run(self._api.timeline(job_id, logs=logs))

    async def jobs(
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
        return await self._transport.run(self._api.jobs(query, tags, created_after, created_before, as_of))

    async def search(
        self,
        q: str = "",
        *,
        type: str | None = None,
        state: str | None = None,
        tags: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Job]:
        """Yield the jobs that a search of the history finds, newest first, page by page until there are no more.

        `async for job in client.search("state:dead since:1d")`. Raises: ValueError, ApiError.
        """
        cursor: str | None = None
        while True:
            page = await self.jobs(
                q,
                type=type,
                state=state,
                tags=tags,
                created_after=created_after,
                created_before=created_before,
                cursor=cursor,
                limit=page_size,
            )
            for job in page.items:
                yield job
            cursor = page.next_cursor
            if cursor is None:
                return

    async def search_hints(self, q: str, at: int | None = None) -> SearchHints:
        """Return how a query can go on at a place in it, counted in characters; by default at its end.

        It needs a history. Raises: ApiError.
        """
        return await self._transport.run(self._api.search_hints(q, at))

    async def facets(
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
        return await self._transport.run(self._api.facets(query, tags, created_after, created_before))

    async def dead(
        self, *, type: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> DeadLetterPage:
        """Return a page of dead letters, newest first. Raises: ApiError."""
        return await self._transport.run(self._api.dead(type, cursor, limit))

    async def dead_groups(
        self,
        *,
        type: str | None = None,
        since: datetime | timedelta | None = None,
        limit: int | None = None,
        live: bool = False,
        releases: bool = False,
    ) -> DeadGroups:
        """Return the dead jobs of the history in groups that died of the same, the largest first.

        `since` is a time of submission, or how long ago it was; `limit` how many groups there are at most, 200 by
        default. With `live` each group has how many jobs failed in the
        same way and have not ended, which takes longer than all the rest; with `releases`, which releases its oldest
        and its newest job died with. It needs a history.

        Raises: ValueError, ApiError.
        """
        return await self._transport.run(self._api.dead_groups(type, since, limit=limit, live=live, releases=releases))

    async def redrive(
        self, *, ids: Iterable[str] | None = None, type: str | None = None, limit: int = 1000
    ) -> ActionReport:
        """Run dead jobs again, by ids or up to `limit` of a type. Raises: TypeError, ApiError."""
        return await self._transport.run(self._api.act_on_dead("redrive", ids, type, limit))

    async def discard(
        self, *, ids: Iterable[str] | None = None, type: str | None = None, limit: int = 1000
    ) -> ActionReport:
        """Cancel dead jobs for good, by ids or up to `limit` of a type. Raises: TypeError, ApiError."""
        return await self._transport.run(self._api.act_on_dead("discard", ids, type, limit))

    async def queues(self) -> list[QueueStatus]:
        """Return the counts of every job type. Raises: ApiError."""
        return await self._transport.run(self._api.queues())

    async def queue(self, type: str) -> QueueStatus:
        """Return the counts of one job type. Raises: ApiError."""
        return await self._transport.run(self._api.queue(type))

    async def demand(self, types: Iterable[str] | None = None) -> Demand:
        """Return how many workers there should be for some job types, which may be patterns, or for all.

        Raises: TypeError, ApiError.
        """
        return await self._transport.run(self._api.demand(types))

    async def stats(
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
        return await self._transport.run(self._api.stats(type, since, until, step))

    async def stats_by_type(
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
        return await self._transport.run(self._api.stats_by_type(since, until, step, limit))

    async def types(self) -> list[TypeRegistration]:
        """Return what workers have registered of the types they handle. Raises: ApiError."""
        return await self._transport.run(self._api.types())

    async def job_type(self, type: str) -> TypeRegistration:
        """Return what workers have registered of one type. Raises: ApiError."""
        return await self._transport.run(self._api.job_type(type))

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that are alive. Raises: ApiError."""
        return await self._transport.run(self._api.workers())

    async def drain_worker(self, name: str) -> WorkerInfo:
        """Have a worker take no more jobs, and end once those that it runs have ended, however long they take.

        Returns once the worker says that it drains. Raises: NotFoundError, UnavailableError when it does not answer,
        ApiError.
        """
        return await self._transport.run(self._api.drain_worker(name))

    async def events(
        self, *, type: str | None = None, job: str | None = None, on_gap: Callable[[], None] | None = None
    ) -> AsyncIterator[LiveEvent]:
        """Yield what happens to jobs from now on: to all, to those of a type, or to one job by its id.

        An interrupted stream is resumed where it ended, so an event may come twice: of two events of one job the later
        has the larger `version`. `on_gap` is called where events are missing. It does not end by itself.
        Raises: ApiError.
        """
        async with aclosing(self._transport.follow(self._api.events(type, job))) as signals:
            async for signal in signals:
                if isinstance(signal, LiveEvent):
                    yield signal
                elif signal is Notice.GAP and on_gap is not None:
                    on_gap()

    async def updates(self, job_id: str) -> AsyncIterator[Job]:
        """Yield a job as it is now, and again each time that it has moved, until it has ended or is dead.

        Of two moves in short succession only the second may be seen. Raises: JobNotFoundError, ApiError.
        """
        version = -1
        async with aclosing(self._transport.follow(self._api.events(None, job_id))) as signals:
            # The first signal comes once the stream is open, so that nothing can happen unseen after this first read.
            async for _ in signals:
                job = await self.get(job_id)
                if job.version > version:
                    version = job.version
                    yield job
                if job.state.is_settled:
                    return

    async def incidents(self) -> list[OpenIncident]:
        """Return what is wrong for so long that people are told, oldest first. Raises: ApiError."""
        return await self._transport.run(self._api.incidents())

    async def system(self) -> System:
        """Return how the installation fares: Redis, the history, the processes of services, and what needs a look.

        Raises: ApiError.
        """
        return await self._transport.run(self._api.system())

    async def webhooks(self) -> list[Webhook]:
        """Return the endpoints of webhooks, oldest first. Raises: ApiError."""
        return await self._transport.run(self._api.webhooks())

    async def webhook(self, webhook_id: str) -> Webhook:
        """Return an endpoint. Raises: ApiError."""
        return await self._transport.run(self._api.webhook(webhook_id))

    async def add_webhook(
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
        return await self._transport.run(self._api.add_webhook(new))

    async def change_webhook(
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
        return await self._transport.run(self._api.change_webhook(webhook_id, changed))

    async def remove_webhook(self, webhook_id: str) -> Webhook:
        """Remove an endpoint. Returns: it as it was. Raises: ApiError."""
        return await self._transport.run(self._api.remove_webhook(webhook_id))

    async def enable_webhook(self, webhook_id: str) -> Webhook:
        """Let an endpoint get events again. Raises: ApiError."""
        return await self._transport.run(self._api.act_on_webhook(webhook_id, "enable"))

    async def disable_webhook(self, webhook_id: str) -> Webhook:
        """Let an endpoint get no more events. Raises: ApiError."""
        return await self._transport.run(self._api.act_on_webhook(webhook_id, "disable"))

    async def rotate_webhook(self, webhook_id: str) -> SecretWebhook:
        """Replace the secret of an endpoint; for 24 hours calls have the signatures of both. Raises: ApiError."""
        return await self._transport.run(self._api.rotate_webhook(webhook_id))

    async def webhook_secret(self, webhook_id: str = "callbacks") -> WebhookSecret:
        """Return the secret of an endpoint, or that of the callbacks of jobs. Raises: ApiError."""
        return await self._transport.run(self._api.webhook_secret(webhook_id))

    async def test_webhook(self, webhook_id: str) -> Job:
        """Send a test to an endpoint. Returns: the job that delivers it. Raises: ApiError."""
        return await self._transport.run(self._api.test_webhook(webhook_id))

    async def webhook_deliveries(self, webhook_id: str, *, cursor: str | None = None, limit: int | None = None) -> Page:
        """Return a page of the deliveries of an endpoint, newest first, or of `callbacks`. Raises: ApiError."""
        return await self._transport.run(self._api.webhook_deliveries(webhook_id, cursor, limit))

    async def redeliver(self, webhook_id: str, job_id: str) -> Job:
        """Deliver the event of a delivery once more. Returns: the new delivery. Raises: ApiError."""
        return await self._transport.run(self._api.redeliver(webhook_id, job_id))

    async def start_operation(
        self,
        kind: AskedKind,
        *,
        q: str | None = None,
        ids: Iterable[str] | None = None,
        group: OperationGroup | None = None,
        rate: float = 50.0,
        canary: Canary | None = None,
        dry_run: bool = False,
        fresh: bool = False,
        priority: PriorityName | None = None,
        patch: Mapping[str, Any] | None = None,
        export: ExportOptions | None = None,
    ) -> BulkOperation:
        """Have something done with many jobs: those of a search, of ids, or of a group.

        The service goes on with it by itself, `rate` jobs a second, also when it is restarted. With a `canary` it tries
        some jobs first. `dry_run` only counts. `fresh` ones that run again have no step of their durable handler behind
        them. `patch` changes payloads, by a JSON Merge Patch. `cancel`, `run-now` and
        `priority` are about jobs that have not settled, `erase` and `export` about jobs in any state. Raises: ApiError.
        """
        new = NewOperation(
            kind=kind,
            q=q,
            ids=None if ids is None else list(ids),
            group=group,
            rate=rate,
            canary=canary,
            dry_run=dry_run,
            fresh=fresh,
            priority=None if priority is None else Priority(priority),
            patch=None if patch is None else dict(patch),
            export=export,
        )
        return await self._transport.run(self._api.start_operation(new))

    async def operations(self, *, limit: int = 50) -> list[BulkOperation]:
        """Return the newest operations on many jobs. Raises: ApiError."""
        return (await self._transport.run(self._api.operations(limit))).items

    async def operation(self, operation_id: str) -> BulkOperation:
        """Return an operation as it is now. Raises: ApiError."""
        return await self._transport.run(self._api.operation(operation_id))

    async def pause_operation(self, operation_id: str) -> BulkOperation:
        """Pause an operation; the page that is under way is finished. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.steer_operation(operation_id, "pause"))

    async def resume_operation(self, operation_id: str) -> BulkOperation:
        """Let a paused operation go on. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.steer_operation(operation_id, "resume"))

    async def cancel_operation(self, operation_id: str) -> BulkOperation:
        """End an operation; what it has done stays done. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.steer_operation(operation_id, "cancel"))

    async def queue_settings(self, type: str) -> QueueSettings:
        """Return whether the queue of a type is paused, and its limits. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.queue_settings(type))

    async def queue_keys(
        self,
        type: str,
        *,
        sort: str = "parked",
        cursor: str | None = None,
        limit: int | None = None,
    ) -> QueueKeyPage:
        """Return a page of the keys that have jobs in a queue with limits, those with the most waiting jobs first.

        Raises: NotFoundError, ApiError.
        """
        query = {"sort": sort, "cursor": cursor, "limit": limit}
        return await self._transport.run(self._api.queue_keys(type, query))

    async def limit_queue(
        self,
        type: str,
        *,
        concurrency: int | None = None,
        rate: str | None = None,
        burst: int | None = None,
        per_key: KeyLimits | None = None,
        weights: Mapping[str, float] | None = None,
        fair: bool = False,
        cap: int | None = None,
        breaker: Breaker | None = None,
    ) -> QueueSettings:
        """Limit the jobs of a type, over all workers together, in place of the limits that it had.

        `concurrency` is how many may run at once, `rate` how many may start in a time (`100/s`, `5/m`, `1000/h`), and
        `burst` how many at once when none has started for long. `per_key` has the same for the jobs of each key. While
        keys wait for each other they take turns by their `weights`, 1 where none is given; with `fair` also where
        nothing is limited. With `cap` jobs that wait, are scheduled or run, further submissions are refused
        (UnavailableError). `breaker` holds jobs back while too many attempts fail.

        Raises: InvalidError, NotFoundError, ApiError.
        """
        limits = QueueLimits(
            concurrency=concurrency,
            rate=rate,
            burst=burst,
            per_key=per_key,
            weights=None if weights is None else dict(weights),
            fair=fair,
            cap=cap,
            breaker=breaker,
        )
        return await self._transport.run(self._api.limit_queue(type, limits))

    async def unlimit_queue(self, type: str) -> QueueSettings:
        """Remove the limits of a type. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.unlimit_queue(type))

    async def pause_queue(self, type: str, *, reason: str = "") -> QueueSettings:
        """Let workers get no job of a type until it is resumed; what runs goes on. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.steer_queue(type, "pause", {"reason": reason or None}))

    async def resume_queue(self, type: str) -> QueueSettings:
        """Let a paused queue go on. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.steer_queue(type, "resume"))

    async def end_hold(self, type: str, *, key: str | None = None) -> QueueSettings:
        """Let the jobs start that a handler holds back, those of a key or all. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.end_hold(type, key))

    async def open_breaker(self, type: str, *, reason: str = "") -> QueueSettings:
        """Open the circuit breaker of a queue until it is closed by hand. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.steer_queue(type, "breaker/open", {"reason": reason or None}))

    async def close_breaker(self, type: str) -> QueueSettings:
        """Close the circuit breaker of a queue: its jobs start at once. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.steer_queue(type, "breaker/close"))

    async def keys(self, *, tenant: str | None = None, cursor: str | None = None, limit: int = 100) -> ApiKeyPage:
        """Return a page of the keys of the API, by id; `tenant` as for :meth:`create_key`. Raises: ApiError."""
        return await self._transport.run(self._api.keys({"tenant": tenant, "cursor": cursor, "limit": limit}))

    async def key(self, key_id: str) -> ApiKey:
        """Return a key of the API, without its secret. Raises: ApiError."""
        return await self._transport.run(self._api.key(key_id))

    async def create_key(
        self,
        name: str,
        *,
        role: Role | str | None = None,
        scopes: Iterable[Scope | str] | None = None,
        expires_in: Seconds | None = None,
        tenant: str | None = None,
        limits: RequestLimits | None = None,
        types: Iterable[str] = (),
        networks: Iterable[str] = (),
    ) -> SecretApiKey:
        """Make a key with a role, or with scopes in its place. Its secret is shown this once.

        `types` narrows it to job types, by patterns such as `email.*`, and `networks` to where it is used from.
        `tenant` is another tenant than one's own, for those who manage tenants. It is not repeated once the service
        may have made one. Raises: ValueError for an unknown role or scope, InvalidError, AccessError, ApiError.
        """
        new = new_key(name, role, scopes, expires_in, tenant=tenant, types=types, networks=networks, limits=limits)
        return await self._transport.run(self._api.create_key(new))

    async def rotate_key(self, key_id: str, *, overlap: Seconds | None = None) -> SecretApiKey:
        """Make the successor of a key; the old one works for `overlap` yet, by default a day. Raises: ApiError."""
        return await self._transport.run(self._api.rotate_key(key_id, key_rotation(overlap)))

    async def change_key(self, key_id: str, *, limits: RequestLimits) -> ApiKey:
        """Change the limits of a key, all of them: what they leave out follows the settings of ingest.

        Raises: InvalidError, ApiError.
        """
        return await self._transport.run(self._api.change_key(key_id, ApiKeyChange(limits=limits)))

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key; every ingest refuses it within five seconds. Returns: it as it was. Raises: ApiError."""
        return await self._transport.run(self._api.revoke_key(key_id))

    async def audit(
        self,
        *,
        key: str | None = None,
        action: str | None = None,
        outcome: AuditOutcome | str | None = None,
        target: str | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> AuditPage:
        """Return a page of audit records, newest first: who has changed what. It needs a history.

        `key` is the id of the key that did it, `action` the `operationId` of a route in the API document, and `target`
        what its path begins with. Raises: AccessError, ApiError.
        """
        asked = audit_query(key=key, action=action, outcome=outcome, target=target, after=after, before=before)
        return await self._transport.run(self._api.audit.page({**asked, "cursor": cursor, "limit": limit}))

    async def audit_trail(
        self,
        *,
        key: str | None = None,
        action: str | None = None,
        outcome: AuditOutcome | str | None = None,
        target: str | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        page_size: int = 500,
    ) -> AsyncIterator[AuditRecord]:
        """Yield audit records from the oldest on, page by page until there are no more.

        Raises: AccessError, ApiError.
        """
        asked = audit_query(key=key, action=action, outcome=outcome, target=target, after=after, before=before)
        cursor: str | None = None
        while True:
            query = {**asked, "order": "oldest", "cursor": cursor, "limit": page_size}
            page = await self._transport.run(self._api.audit.page(query))
            for record in page.items:
                yield record
            cursor = page.next_cursor
            if cursor is None:
                return

    async def audit_chain(self) -> AuditChain:
        """Return where the chain of the audit records begins and ends. Raises: AccessError, ApiError."""
        return await self._transport.run(self._api.audit.chain())

    async def verify_audit(self, *, known: AuditLink | None = None) -> AuditVerification:
        """Read all audit records, and return where their chain shows that one was altered, removed or inserted.

        `known` is the `last` of an earlier verification, kept where the history cannot reach: it shows also a chain
        that was written anew. Raises: AccessError, ApiError.
        """
        checker = ChainChecker(await self._transport.run(self._api.audit.chain()), known)
        cursor: str | None = None
        while True:
            page = await self._transport.run(self._api.audit.raw_page(cursor))
            for record in page.items:
                checker.check(record)
            cursor = page.next_cursor
            if cursor is None:
                return checker.result()

    async def principal(self) -> PrincipalInfo:
        """Return who the service takes this client for. Raises: AccessError, ApiError."""
        return await self._transport.run(self._api.principal())

    async def tenants(
        self, *, name: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> TenantPage:
        """Return a page of tenants, by name; `name` is how their names begin. Raises: AccessError, ApiError."""
        return await self._transport.run(self._api.tenants({"name": name, "cursor": cursor, "limit": limit}))

    async def tenant(self, name: str) -> TenantInfo:
        """Return a tenant. Raises: AccessError, ApiError."""
        return await self._transport.run(self._api.tenant(name))

    async def create_tenant(
        self,
        name: str,
        *,
        title: str = "",
        quotas: Mapping[str, int] | None = None,
        limits: RequestLimits | None = None,
        encryption: TenantEncryption | str = TenantEncryption.INHERIT,
    ) -> TenantInfo:
        """Make a tenant, with quotas by their names such as `jobs_waiting`, and limits of all of its keys together.

        With the `encryption` `all`, all of its jobs are stored encrypted. It is not repeated once the service may have
        made one. Raises: ValueError for an unknown quota or encryption, InvalidError, ConflictError where there is one
        of this name, AccessError, ApiError.
        """
        return await self._transport.run(self._api.create_tenant(new_tenant(name, title, quotas, limits, encryption)))

    async def change_tenant(
        self,
        name: str,
        *,
        title: str | None = None,
        quotas: Mapping[str, int] | None = None,
        limits: RequestLimits | None = None,
        encryption: TenantEncryption | str | None = None,
    ) -> TenantInfo:
        """Change a tenant; `quotas` are all that it has then, and `limits` as well.

        `encryption` is for what is stored from then on. Raises: ValueError for an unknown quota or encryption,
        InvalidError, ApiError.
        """
        change = tenant_change(title, quotas, limits, encryption)
        return await self._transport.run(self._api.change_tenant(name, change))

    async def suspend_tenant(self, name: str, *, reason: str = "") -> TenantInfo:
        """Let a tenant submit nothing, and no job of it start; what runs goes on. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.suspend_tenant(name, reason))

    async def resume_tenant(self, name: str) -> TenantInfo:
        """Let a suspended tenant go on. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.resume_tenant(name))

    async def delete_tenant(self, name: str, *, confirm: str) -> BulkOperation:
        """Have a tenant deleted with all that it has; `confirm` is its name once more.

        Returns: the operation, which :meth:`operation` tells the progress of. Its keys are revoked by then, and no job
        of its queues starts. Raises: AccessError, ConflictError, InvalidError, ApiError.
        """
        return await self._transport.run(self._api.delete_tenant(name, confirm))

    async def open_session(
        self, *, expires_in: Seconds | None = None, nonce_secret: str | None = None
    ) -> SecretSession:
        """Open a session with the rights of this client's key. Its token works in place of the key, 12 hours at most.

        Where the client has an ID token of an OpenID provider, `nonce_secret` is the text whose SHA-256, in base64url,
        the sign-in has asked for as `nonce`. It is not repeated once the service may have opened one. Raises:
        AccessError for a client that has a session, ApiError.
        """
        return await self._transport.run(self._api.open_session(new_session(expires_in, nonce_secret)))

    async def sessions(self, *, cursor: str | None = None, limit: int = 100) -> SessionPage:
        """Return a page of the sessions that work, by id, without their tokens. Raises: ApiError."""
        return await self._transport.run(self._api.sessions({"cursor": cursor, "limit": limit}))

    async def session(self, session_id: str) -> Session:
        """Return a session, without its token. Raises: NotFoundError, ApiError."""
        return await self._transport.run(self._api.session(session_id))

    async def end_session(self, session_id: str = "current") -> Session:
        """End a session, that of this client by default; every ingest refuses it within five seconds.

        Returns: it as it was. Raises: NotFoundError, ApiError.
        """
        return await self._transport.run(self._api.end_session(session_id))

    async def templates(
        self, *, name: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> TemplatePage:
        """Return a page of templates, by name; `name` is how their names begin. Raises: ApiError."""
        return await self._transport.run(self._api.templates({"name": name, "cursor": cursor, "limit": limit}))

    async def template(self, name: str) -> Template:
        """Return a template. Raises: ApiError."""
        return await self._transport.run(self._api.template(name))

    async def put_template(self, name: str, job: NewJob, *, description: str = "") -> Template:
        """Make or replace a template: what `submit(..., template=name)` says where it says nothing itself.

        Jobs that were submitted keep what it said then. Raises: InvalidError, ApiError.
        """
        return await self._transport.run(self._api.put_template(name, job, description))

    async def remove_template(self, name: str) -> Template:
        """Remove a template. Returns: it as it was. Raises: ApiError."""
        return await self._transport.run(self._api.remove_template(name))

    async def schedules(
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
        return await self._transport.run(self._api.schedules(query))

    async def schedule(self, name: str) -> Schedule:
        """Return a schedule as it is now. Raises: ApiError."""
        return await self._transport.run(self._api.schedule(name))

    async def put_schedule(
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
        return await self._transport.run(self._api.put_schedule(name, asked))

    async def preview_schedule(
        self,
        name: str,
        when: str | Seconds | datetime,
        job: NewJob,
        *,
        description: str = "",
        paused: bool | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> SchedulePreview:
        """Check what `put_schedule` would put, and return when it would fire; nothing is stored.

        Raises: TypeError for an unknown option, ValueError, InvalidError, ApiError.
        """
        asked = schedule_definition(name, when, job.content, description=description, paused=paused, **options)
        return await self._transport.run(self._api.preview_schedule(name, asked))

    async def remove_schedule(self, name: str) -> Schedule:
        """Remove a schedule with its backfills. Returns: it as it was. Raises: ApiError."""
        return await self._transport.run(self._api.remove_schedule(name))

    async def pause_schedule(self, name: str) -> Schedule:
        """Pause a schedule: occasions in a pause do not take place. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.steer_schedule(name, "pause"))

    async def resume_schedule(self, name: str) -> Schedule:
        """Let a schedule go on, with the first occasion from now on. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.steer_schedule(name, "resume"))

    async def run_schedule(self, name: str, *, idempotency_key: str | None = None) -> ScheduleRun:
        """Submit the job of a schedule now, also of a paused one. Returns: the id of the job. Raises: ApiError."""
        return await self._transport.run(self._api.run_schedule(name, idempotency_key))

    async def next_occasions(self, name: str, n: int = 10) -> list[ScheduleOccasion]:
        """Return when a schedule fires next, soonest first; of a paused one, as if it was resumed. Raises: ApiError."""
        return (await self._transport.run(self._api.next_occasions(name, n))).items

    async def start_backfill(
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
        return await self._transport.run(self._api.start_backfill(name, asked, idempotency_key))

    async def backfills(self, name: str) -> list[Backfill]:
        """Return the backfills of a schedule, latest first. Raises: ApiError."""
        return (await self._transport.run(self._api.backfills(name))).items

    async def backfill(self, name: str, backfill_id: str) -> Backfill:
        """Return a backfill as it is now. Raises: ApiError."""
        return await self._transport.run(self._api.backfill(name, backfill_id))

    async def cancel_backfill(self, name: str, backfill_id: str) -> Backfill:
        """End a backfill; its jobs that have started go on. Raises: ConflictError, ApiError."""
        return await self._transport.run(self._api.cancel_backfill(name, backfill_id))

    async def run(self, flow: Workflow, *, idempotency_key: str | None = None) -> WorkflowRun:
        """Submit a workflow, whose nodes run as soon as those before them have ended.

        With an `idempotency_key` of your own, a later call with the same key and workflow returns the same one, for 24
        hours. Raises: ValueError, for a workflow without nodes; InvalidError, UnavailableError, ApiError.
        """
        accepted = await self._transport.run(self._api.run(flow.content, idempotency_key))
        return WorkflowRun(self, accepted)

    async def workflows(
        self,
        *,
        state: WorkflowState | str | None = None,
        name: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> WorkflowPage:
        """Return a page of workflows, newest first; all, or those that fit.

        With a history, those are among them of which Redis has nothing any more. Raises: ApiError.
        """
        query = {"state": state, "name": name, "cursor": cursor, "limit": limit}
        return await self._transport.run(self._api.workflows(query, created_after, created_before))

    async def workflow(self, workflow_id: str) -> WorkflowStatus:
        """Return a workflow as it is now. Raises: ApiError."""
        return await self._transport.run(self._api.workflow(workflow_id))

    async def workflow_nodes(
        self,
        workflow_id: str,
        *,
        nodes: NodeFilter | str | None = None,
        results: bool = False,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> WorkflowNodePage:
        """Return a workflow with a page of its nodes: all, those in a state, or those that are `failed`.

        With `results` each node has `inputs`: whose results it takes, and how large they are. Raises: ApiError.
        """
        query = {"nodes": nodes, "results": "1" if results else None, "cursor": cursor, "limit": limit}
        return await self._transport.run(self._api.workflow_nodes(workflow_id, query))

    async def wait_for_workflow(
        self,
        workflow_id: str,
        timeout: float = 30.0,  # noqa: ASYNC109 - as above
    ) -> WorkflowStatus:
        """Return a workflow once it has succeeded, waiting at most `timeout` seconds.

        Raises: WorkflowFailedError, WaitTimeoutError, ApiError.
        """
        return await self._transport.run(self._api.wait_for_workflow(workflow_id, timeout))

    async def cancel_workflow(self, workflow_id: str) -> WorkflowStatus:
        """Cancel what has not ended of a workflow. Raises: ConflictError when it has ended, ApiError."""
        return await self._transport.run(self._api.cancel_workflow(workflow_id))

    async def rerun_workflow(
        self,
        workflow_id: str,
        nodes: Iterable[str] | None = None,
        *,
        failed: bool = False,
        idempotency_key: str | None = None,
    ) -> WorkflowStatus:
        """Run nodes of a workflow again with all behind them: these, or with `failed` those that failed.

        Raises: TypeError, unless it is one of the two; ConflictError while one of them runs, ApiError.
        """
        flow = self._api.rerun_workflow(workflow_id, nodes, idempotency_key, failed=failed)
        return await self._transport.run(flow)

    def batch(
        self,
        name: str,
        *,
        on_success: CallbackJob | None = None,
        on_complete: CallbackJob | None = None,
        on_death: CallbackJob | None = None,
        expires_in: Seconds | None = None,
        retention: Seconds | None = None,
        idempotency_key: str | None = None,
    ) -> BatchBlock:
        """Return a block that makes a batch, gives its handle, and closes the batch at its end.

        `async with client.batch("import", on_complete=done) as batch`. `on_success` runs once every member has
        succeeded, `on_complete` once every member has settled, `on_death` when the first one is dead. An open batch
        closes itself after `expires_in`, seven days by default; `retention` is how long it can be read after its end,
        a day by default. A block that raises cancels the batch. Raises: TypeError; on entry and exit ApiError.
        """
        fields = batch_fields(
            name,
            on_success=on_success,
            on_complete=on_complete,
            on_death=on_death,
            expires_in=expires_in,
            retention=retention,
        )
        return BatchBlock(self, fields, idempotency_key)

    async def submit_batch(
        self,
        name: str,
        jobs: Iterable[NewJob],
        *,
        on_success: CallbackJob | None = None,
        on_complete: CallbackJob | None = None,
        on_death: CallbackJob | None = None,
        retention: Seconds | None = None,
        idempotency_key: str | None = None,
    ) -> BatchHandle:
        """Submit a batch of jobs that are known: all of them, or none when one is refused.

        The options are those of `batch`. Up to 10,000 jobs are one request; of more the first are stored before the
        others are checked, and the batch is cancelled when one of these is refused.
        Raises: TypeError, ValueError for no jobs, InvalidError, UnavailableError, ApiError.
        """
        fields = batch_fields(
            name,
            on_success=on_success,
            on_complete=on_complete,
            on_death=on_death,
            expires_in=None,
            retention=retention,
        )
        made = await self._transport.run(self._api.batches.submit(fields, jobs, idempotency_key))
        return BatchHandle(self, made.id)

    def batch_handle(self, batch_id: str) -> BatchHandle:
        """Return a handle on a batch whose id is known. Makes no request."""
        return BatchHandle(self, BatchId(batch_id))

    async def batches(
        self, *, state: BatchState | str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> BatchPage:
        """Return a page of batches, newest first. Raises: ApiError."""
        return await self._transport.run(self._api.batches.page({"state": state, "cursor": cursor, "limit": limit}))

    async def create_batch(self, fields: Mapping[str, Any], idempotency_key: str | None = None) -> BatchStatus:
        """Make a batch of fields as `POST /v1/batches` takes them; `batch` and `submit_batch` are nearer to code.

        Raises: ApiError.
        """
        return await self._transport.run(self._api.batches.create(fields, idempotency_key))

    async def batch_status(self, batch_id: str) -> BatchStatus:
        """Return a batch as it is now. Raises: ApiError."""
        return await self._transport.run(self._api.batches.status(batch_id))

    async def batch_jobs(
        self,
        batch_id: str,
        *,
        state: MemberState | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> BatchMemberPage:
        """Return a page of the members of a batch: all, or those in a state. Raises: ApiError."""
        query = {"state": state, "cursor": cursor, "limit": limit}
        return await self._transport.run(self._api.batches.members(batch_id, query))

    async def add_to_batch(
        self, batch_id: str, jobs: Iterable[NewJob], *, by: str | None = None, idempotency_key: str | None = None
    ) -> BatchReceipt:
        """Submit jobs as members of a batch; receipt and errors are those of `submit_many`.

        `by` is the id of the member that adds them, as it may until it has ended, also to a batch that is closed.
        """
        return await self._transport.run(self._api.batches.add(batch_id, list(jobs), by, idempotency_key))

    async def add_one_to_batch(self, batch_id: str, job: NewJob, idempotency_key: str | None = None) -> JobId:
        """Submit one job as a member of a batch. Raises: ConflictError when the batch is closed, and as `submit`."""
        return await self._transport.run(self._api.batches.add_one(batch_id, job, None, idempotency_key))

    async def wait_for_batch(
        self,
        batch_id: str,
        timeout: float = 30.0,  # noqa: ASYNC109 - as above
    ) -> BatchStatus:
        """Return a batch once it is closed and every member has settled, waiting at most `timeout` seconds.

        Raises: WaitTimeoutError, ApiError.
        """
        return await self._transport.run(self._api.batches.wait(batch_id, timeout))

    async def close_batch(self, batch_id: str) -> BatchStatus:
        """Let a batch take no more members, except from its members. Raises: ApiError."""
        return await self._transport.run(self._api.batches.close(batch_id))

    async def cancel_batch(self, batch_id: str) -> BatchStatus:
        """Cancel the members of a batch that have not ended. Raises: ConflictError when it has ended, ApiError."""
        return await self._transport.run(self._api.batches.cancel(batch_id))

    async def give_up_batch(self, batch_id: str) -> None:
        """Cancel a batch, if that can be done now; else it closes itself later."""
        await self._transport.run(self._api.batches.given_up(batch_id))

    async def health(self) -> dict[str, Any]:
        """Return the health of the service, also when it is bad. Raises: ApiError."""
        return await self._transport.run(self._api.health())

    async def _result(
        self,
        job: str | JobRef[Any, Any],
        job_id: str,
        timeout: float = 30.0,  # noqa: ASYNC109 - as above
        *,
        into: Any = None,
    ) -> Any:
        value = await self._transport.run(self._api.result(job_id, timeout))
        return read_result(value, gives_of(job) if into is None else DataType(into, is_result=True), job_id)
