"""Every call of the HTTP API as a flow, which `Client` and `SyncClient` run.

Source: docs of the HTTP API, version 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from millstream.client.audit_api import AuditApi
from millstream.client.batch_api import BatchApi
from millstream.client.event_flow import EventFlow
from millstream.client.flow import ApiFlow
from millstream.client.many_jobs import submitted_in_parts
from millstream.client.polling import held
from millstream.client.response_reader import read_response
from millstream.client.retrier import Call, Retrier
from millstream.errors import JobFailedError, WorkflowFailedError
from millstream.jobs.idempotency_key import checked_key
from millstream.jobs.new_job import NewJob
from millstream.jobs.signal import Signal, encoded_signal, signal_name
from millstream_contracts import (
    ActionReport,
    ApiKey,
    ApiKeyChange,
    ApiKeyPage,
    Backfill,
    BackfillPage,
    BackfillRequest,
    BatchReceipt,
    BulkOperation,
    DeadGroups,
    DeadLetterAction,
    DeadLetterPage,
    Demand,
    Facets,
    Job,
    JobDependencies,
    JobExplanation,
    JobStack,
    JobState,
    JobSteps,
    KeyRotation,
    NewApiKey,
    NewOperation,
    NewPriority,
    NewSession,
    NewTenant,
    NewWebhook,
    OpenIncident,
    Page,
    PrincipalInfo,
    Priority,
    PriorityName,
    QueueKeyPage,
    QueueLimits,
    QueueSettings,
    QueueStatus,
    RerunRequest,
    Schedule,
    ScheduleDefinition,
    ScheduleOccasions,
    SchedulePage,
    SchedulePreview,
    ScheduleRun,
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
    TenantChange,
    TenantInfo,
    TenantPage,
    TenantSuspension,
    Timeline,
    TypeRegistration,
    Webhook,
    WebhookChange,
    WebhookSecret,
    WorkerInfo,
    WorkflowAccepted,
    WorkflowNodePage,
    WorkflowPage,
    WorkflowState,
    WorkflowStatus,
    limits,
)

T = TypeVar("T")


class ListPage(Struct, Generic[T], frozen=True):
    """A page of a list, of items of any type."""

    items: list[T]
    next_cursor: str | None = None


class Api:
    """The calls, each written once for both clients."""

    def __init__(self, caller: Retrier) -> None:
        self._retrier = caller
        self.batches = BatchApi(caller)
        self.audit = AuditApi(caller)

    def submit(self, job: NewJob, idempotency_key: str | None) -> ApiFlow[tuple[Job, bool]]:
        """Submit one job. The idempotency key makes it one job, although the request may be repeated.

        Returns: the job, and whether it is another one that holds the unique key of this one.
        """
        headers = {"idempotency-key": checked_key(idempotency_key)}
        call = Call(method="POST", path="/v1/jobs", returns=Job, content=job.content, headers=headers)
        response, url = yield from self._retrier.answer(call)
        return read_response(response, Job, url), response.headers.get("unique-conflict") == "true"

    def submit_many(self, jobs: Sequence[NewJob], idempotency_key: str | None) -> ApiFlow[BatchReceipt]:
        """Submit jobs. Raises: as :func:`submitted_in_parts`."""
        call = Call(method="POST", path="/v1/jobs/batch", returns=BatchReceipt)
        return submitted_in_parts(self._retrier, call, jobs, idempotency_key)

    def get(self, job_id: str) -> ApiFlow[Job]:
        """Read one job."""
        return self._retrier.flow(Call(path=_job_path(job_id), returns=Job))

    def wait(self, job_id: str, timeout_s: float) -> ApiFlow[Job]:
        """Read one job once it has settled. Raises: WaitTimeoutError."""
        call = Call(path=_job_path(job_id), returns=Job, hold_s=limits.MAX_WAIT_S)
        return held(
            lambda delay_s, until: self._retrier.flow(call, delay_s=delay_s, until=until),
            lambda job: job.state.is_settled,
            lambda job: f"job {job_id} is {job.state}",
            clock=self._retrier.clock,
            timeout_s=timeout_s,
        )

    def result(self, job_id: str, timeout_s: float) -> ApiFlow[Any]:
        """Wait for a job's result. Raises: JobFailedError, WaitTimeoutError."""
        job = yield from self.wait(job_id, timeout_s)
        if job.state is not JobState.SUCCEEDED:
            raise JobFailedError(job)
        return job.result

    def dependencies(self, job_id: str) -> ApiFlow[JobDependencies]:
        """Read the jobs around a job."""
        return self._retrier.flow(Call(path=f"{_job_path(job_id)}/dependencies", returns=JobDependencies))

    def explain(self, job_id: str) -> ApiFlow[JobExplanation]:
        """Ask why a job is where it is."""
        return self._retrier.flow(Call(path=f"{_job_path(job_id)}/explain", returns=JobExplanation))

    def stack(self, job_id: str) -> ApiFlow[JobStack]:
        """Ask where the handler of a running job is. A worker that does not answer is not asked again."""
        return self._retrier.flow(Call(path=f"{_job_path(job_id)}/stack", returns=JobStack, repeatable=False))

    def cancel(self, job_id: str) -> ApiFlow[Job]:
        """Ask for a job to end. A repetition changes nothing."""
        return self._retrier.flow(Call(method="POST", path=f"{_job_path(job_id)}/cancel", returns=Job))

    def retry(self, job_id: str, *, fresh: bool = False) -> ApiFlow[Job]:
        """Have a job run again now."""
        path, query = f"{_job_path(job_id)}/retry", {"fresh": "1" if fresh else None}
        return self._retrier.flow(Call(method="POST", path=path, returns=Job, query=query, repeatable=False))

    def run_now(self, job_id: str) -> ApiFlow[Job]:
        """Have a job ready before its time. A repetition changes nothing."""
        return self._retrier.flow(Call(method="POST", path=f"{_job_path(job_id)}/run-now", returns=Job))

    def set_priority(self, job_id: str, priority: PriorityName) -> ApiFlow[Job]:
        """Give a job another priority. A repetition changes nothing."""
        content = msgspec.msgpack.encode(NewPriority(Priority(priority)))
        return self._retrier.flow(
            Call(method="POST", path=f"{_job_path(job_id)}/priority", returns=Job, content=content)
        )

    def signal(
        self, job_id: str, signal: Signal[Any] | str, payload: Any, idempotency_key: str | None
    ) -> ApiFlow[SignalReceipt]:
        """Send a signal to a job. The idempotency key makes it one signal, although the request may be repeated."""
        content = encoded_signal(signal, payload)
        call = Call(
            method="POST",
            path=f"{_job_path(job_id)}/signals/{quote(signal_name(signal), safe='')}",
            returns=SignalReceipt,
            content=content,
            headers={"idempotency-key": checked_key(idempotency_key)},
        )
        return self._retrier.flow(call)

    def steps(self, job_id: str) -> ApiFlow[JobSteps]:
        """Read what the durable handler of a job has stored."""
        return self._retrier.flow(Call(path=f"{_job_path(job_id)}/steps", returns=JobSteps))

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

    def timeline(self, job_id: str, *, logs: bool) -> ApiFlow[Timeline]:
        """Read what happened to a job."""
        query = {"logs": "1" if logs else None}
        return self._retrier.flow(Call(path=f"{_job_path(job_id)}/timeline", returns=Timeline, query=query))

    def dead_groups(
        self, type: str | None, since: datetime | timedelta | None, *, limit: int | None, live: bool, releases: bool
    ) -> ApiFlow[DeadGroups]:
        """Read the groups of dead jobs."""
        wanted = {"live": "1" if live else None, "releases": "1" if releases else None}
        query = {"type": type, "since": _time(since), "limit": limit, **wanted}
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

    def drain_worker(self, name: str) -> ApiFlow[WorkerInfo]:
        """Have a worker end once its jobs have ended. A repetition changes nothing."""
        path = f"/v1/workers/{quote(name, safe='')}/drain"
        return self._retrier.flow(Call(method="POST", path=path, returns=WorkerInfo, repeatable=False))

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

    def queue_settings(self, job_type: str) -> ApiFlow[QueueSettings]:
        """Read what is set of a queue."""
        return self._retrier.flow(Call(path=_queue_path(job_type, "settings"), returns=QueueSettings))

    def queue_keys(self, job_type: str, query: Mapping[str, str | int | None]) -> ApiFlow[QueueKeyPage]:
        """Read a page of the keys that have jobs in a queue with limits."""
        return self._retrier.flow(Call(path=_queue_path(job_type, "keys"), returns=QueueKeyPage, query=query))

    def limit_queue(self, job_type: str, asked: QueueLimits) -> ApiFlow[QueueSettings]:
        """Limit the jobs of a type. A repetition changes nothing."""
        path, content = _queue_path(job_type, "limits"), msgspec.msgpack.encode(asked)
        return self._retrier.flow(Call(method="PUT", path=path, returns=QueueSettings, content=content))

    def unlimit_queue(self, job_type: str) -> ApiFlow[QueueSettings]:
        """Remove the limits of a type. A repetition changes nothing."""
        return self._retrier.flow(Call(method="DELETE", path=_queue_path(job_type, "limits"), returns=QueueSettings))

    def end_hold(self, job_type: str, key: str | None) -> ApiFlow[QueueSettings]:
        """Let the jobs start that a handler holds back. A repetition changes nothing."""
        path = _queue_path(job_type, "hold")
        return self._retrier.flow(Call(method="DELETE", path=path, returns=QueueSettings, query={"key": key}))

    def steer_queue(self, job_type: str, action: str, query: Mapping[str, str | None] = {}) -> ApiFlow[QueueSettings]:
        """Pause or resume a queue. A repetition changes nothing."""
        path = _queue_path(job_type, action)
        return self._retrier.flow(Call(method="POST", path=path, returns=QueueSettings, query=query))

    def keys(self, query: Mapping[str, str | int | None]) -> ApiFlow[ApiKeyPage]:
        """Read a page of keys."""
        return self._retrier.flow(Call(path="/v1/keys", returns=ApiKeyPage, query=query))

    def key(self, key_id: str) -> ApiFlow[ApiKey]:
        """Read a key."""
        return self._retrier.flow(Call(path=_key_path(key_id), returns=ApiKey))

    def create_key(self, new: NewApiKey) -> ApiFlow[SecretApiKey]:
        """Make a key. A repetition would make another."""
        content = msgspec.msgpack.encode(new)
        call = Call(method="POST", path="/v1/keys", returns=SecretApiKey, content=content, repeatable=False)
        return self._retrier.flow(call)

    def rotate_key(self, key_id: str, asked: KeyRotation) -> ApiFlow[SecretApiKey]:
        """Make the successor of a key."""
        path, content = f"{_key_path(key_id)}/rotate", msgspec.msgpack.encode(asked)
        return self._retrier.flow(
            Call(method="POST", path=path, returns=SecretApiKey, content=content, repeatable=False)
        )

    def change_key(self, key_id: str, asked: ApiKeyChange) -> ApiFlow[ApiKey]:
        """Change a key. A repetition changes nothing."""
        content = msgspec.msgpack.encode(asked)
        return self._retrier.flow(Call(method="PATCH", path=_key_path(key_id), returns=ApiKey, content=content))

    def revoke_key(self, key_id: str) -> ApiFlow[ApiKey]:
        """Revoke a key."""
        return self._retrier.flow(Call(method="DELETE", path=_key_path(key_id), returns=ApiKey, repeatable=False))

    def principal(self) -> ApiFlow[PrincipalInfo]:
        """Read who asks."""
        return self._retrier.flow(Call(path="/v1/me", returns=PrincipalInfo))

    def tenants(self, query: Mapping[str, str | int | None]) -> ApiFlow[TenantPage]:
        """Read a page of tenants."""
        return self._retrier.flow(Call(path="/v1/tenants", returns=TenantPage, query=query))

    def tenant(self, name: str) -> ApiFlow[TenantInfo]:
        """Read a tenant."""
        return self._retrier.flow(Call(path=_tenant_path(name), returns=TenantInfo))

    def create_tenant(self, new: NewTenant) -> ApiFlow[TenantInfo]:
        """Make a tenant. A repetition would be refused."""
        content = msgspec.msgpack.encode(new)
        call = Call(method="POST", path="/v1/tenants", returns=TenantInfo, content=content, repeatable=False)
        return self._retrier.flow(call)

    def change_tenant(self, name: str, change: TenantChange) -> ApiFlow[TenantInfo]:
        """Change a tenant. A repetition changes nothing."""
        content = msgspec.msgpack.encode(change)
        return self._retrier.flow(Call(method="PATCH", path=_tenant_path(name), returns=TenantInfo, content=content))

    def suspend_tenant(self, name: str, reason: str) -> ApiFlow[TenantInfo]:
        """Suspend a tenant. A repetition changes nothing."""
        content = msgspec.msgpack.encode(TenantSuspension(reason=reason))
        path = f"{_tenant_path(name)}/suspend"
        return self._retrier.flow(Call(method="POST", path=path, returns=TenantInfo, content=content))

    def delete_tenant(self, name: str, confirm: str) -> ApiFlow[BulkOperation]:
        """Have a tenant deleted. A repetition returns the same operation."""
        path = _tenant_path(name)
        return self._retrier.flow(Call(method="DELETE", path=path, returns=BulkOperation, query={"confirm": confirm}))

    def resume_tenant(self, name: str) -> ApiFlow[TenantInfo]:
        """Let a suspended tenant go on. A repetition changes nothing."""
        path = f"{_tenant_path(name)}/resume"
        return self._retrier.flow(Call(method="POST", path=path, returns=TenantInfo))

    def open_session(self, asked: NewSession) -> ApiFlow[SecretSession]:
        """Open a session. A repetition would open another."""
        content = msgspec.msgpack.encode(asked)
        call = Call(method="POST", path="/v1/sessions", returns=SecretSession, content=content, repeatable=False)
        return self._retrier.flow(call)

    def sessions(self, query: Mapping[str, str | int | None]) -> ApiFlow[SessionPage]:
        """Read a page of sessions."""
        return self._retrier.flow(Call(path="/v1/sessions", returns=SessionPage, query=query))

    def session(self, session_id: str) -> ApiFlow[Session]:
        """Read a session."""
        return self._retrier.flow(Call(path=_session_path(session_id), returns=Session))

    def end_session(self, session_id: str) -> ApiFlow[Session]:
        """End a session."""
        return self._retrier.flow(
            Call(method="DELETE", path=_session_path(session_id), returns=Session, repeatable=False)
        )

    def templates(self, query: Mapping[str, str | int | None]) -> ApiFlow[TemplatePage]:
        """Read a page of templates."""
        return self._retrier.flow(Call(path="/v1/templates", returns=TemplatePage, query=query))

    def template(self, name: str) -> ApiFlow[Template]:
        """Read a template."""
        return self._retrier.flow(Call(path=_template_path(name), returns=Template))

    def put_template(self, name: str, job: NewJob, description: str) -> ApiFlow[Template]:
        """Make or replace a template. A repetition changes nothing."""
        members = msgspec.msgpack.decode(job.content, type=dict[str, msgspec.Raw])
        content = msgspec.msgpack.encode({**members, "description": description})
        return self._retrier.flow(Call(method="PUT", path=_template_path(name), returns=Template, content=content))

    def remove_template(self, name: str) -> ApiFlow[Template]:
        """Remove a template."""
        return self._retrier.flow(Call(method="DELETE", path=_template_path(name), returns=Template, repeatable=False))

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

    def preview_schedule(self, name: str, definition: ScheduleDefinition) -> ApiFlow[SchedulePreview]:
        """Check a schedule, and read when it would fire."""
        path, content = f"{_schedule_path(name)}/preview", msgspec.msgpack.encode(definition)
        return self._retrier.flow(Call(method="POST", path=path, returns=SchedulePreview, content=content))

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

    def run(self, content: bytes, idempotency_key: str | None) -> ApiFlow[WorkflowAccepted]:
        """Submit a workflow. The idempotency key makes it one, although the request may be repeated."""
        headers = {"idempotency-key": checked_key(idempotency_key)}
        call = Call(method="POST", path="/v1/workflows", returns=WorkflowAccepted, content=content, headers=headers)
        return self._retrier.flow(call)

    def workflows(
        self, query: Mapping[str, str | int | None], created_after: datetime | None, created_before: datetime | None
    ) -> ApiFlow[WorkflowPage]:
        """Read a page of workflows."""
        filters = _filters(None, created_after, created_before)
        return self._retrier.flow(Call(path="/v1/workflows", returns=WorkflowPage, query={**query, **filters}))

    def workflow_nodes(self, workflow_id: str, query: Mapping[str, str | int | None]) -> ApiFlow[WorkflowNodePage]:
        """Read a workflow with a page of its nodes."""
        return self._retrier.flow(Call(path=_workflow_path(workflow_id), returns=WorkflowNodePage, query=query))

    def workflow(self, workflow_id: str) -> ApiFlow[WorkflowStatus]:
        """Read a workflow."""
        return (yield from self.workflow_nodes(workflow_id, {"limit": 1})).workflow

    def wait_for_workflow(self, workflow_id: str, timeout_s: float) -> ApiFlow[WorkflowStatus]:
        """Read a workflow once it has succeeded. Raises: WorkflowFailedError, WaitTimeoutError."""
        call = Call(
            path=_workflow_path(workflow_id), returns=WorkflowNodePage, query={"limit": 1}, hold_s=limits.MAX_WAIT_S
        )
        page = yield from held(
            lambda delay_s, until: self._retrier.flow(call, delay_s=delay_s, until=until),
            lambda page: page.workflow.state.is_settled,
            lambda page: f"workflow {workflow_id} is {page.workflow.state}",
            clock=self._retrier.clock,
            timeout_s=timeout_s,
        )
        if page.workflow.state is not WorkflowState.SUCCEEDED:
            raise WorkflowFailedError(page.workflow)
        return page.workflow

    def cancel_workflow(self, workflow_id: str) -> ApiFlow[WorkflowStatus]:
        """Cancel a workflow. A repetition of one that was carried out is refused."""
        path = f"{_workflow_path(workflow_id)}/cancel"
        return self._retrier.flow(Call(method="POST", path=path, returns=WorkflowStatus, repeatable=False))

    def rerun_workflow(
        self, workflow_id: str, nodes: Iterable[str] | None, idempotency_key: str | None, *, failed: bool
    ) -> ApiFlow[WorkflowStatus]:
        """Run nodes of a workflow again. The idempotency key has a repetition do it once."""
        if isinstance(nodes, str):
            raise TypeError("nodes are a list; one text would be taken for a list of letters")
        if (nodes is None) != failed:
            raise TypeError("a rerun needs either nodes, or `failed=True`")
        asked = RerunRequest(from_=None if nodes is None else list(nodes), failed=failed)
        headers = {"idempotency-key": checked_key(idempotency_key)}
        path, content = f"{_workflow_path(workflow_id)}/rerun", msgspec.msgpack.encode(asked)
        call = Call(method="POST", path=path, returns=WorkflowStatus, content=content, headers=headers)
        return self._retrier.flow(call)

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


def _queue_path(job_type: str, part: str) -> str:
    return f"/v1/queues/{quote(job_type, safe='')}/{part}"


def _key_path(key_id: str) -> str:
    return f"/v1/keys/{quote(key_id, safe='')}"


def _tenant_path(name: str) -> str:
    return f"/v1/tenants/{quote(name, safe='')}"


def _session_path(session_id: str) -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}"


def _template_path(name: str) -> str:
    return f"/v1/templates/{quote(name, safe='')}"


def _schedule_path(name: str) -> str:
    return f"/v1/schedules/{quote(name, safe='')}"


def _backfill_path(name: str, backfill_id: str) -> str:
    return f"{_schedule_path(name)}/backfills/{quote(backfill_id, safe='')}"


def _workflow_path(workflow_id: str) -> str:
    return f"/v1/workflows/{quote(workflow_id, safe='')}"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _webhook_path(webhook_id: str) -> str:
    return f"/v1/webhooks/{quote(webhook_id, safe='')}"
