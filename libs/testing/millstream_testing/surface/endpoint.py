"""Answers the requests of clients as the HTTP API does, from memory: the same checks, the same refusals."""

import hashlib
import re
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from msgspec import Struct

from millstream_contracts import (
    DEFAULT_TENANT,
    ActionReport,
    ActionResult,
    Batch,
    BatchItem,
    BatchMemberPage,
    BatchPage,
    BatchReceipt,
    BatchStatus,
    DeadLetterAction,
    DeadLetterPage,
    Job,
    JobId,
    JobState,
    JobStep,
    JobSteps,
    JobType,
    NewPriority,
    NodeFilter,
    Page,
    QueueSettings,
    SignalReceipt,
    Template,
    TemplatePage,
    WorkflowAccepted,
    WorkflowNodePage,
    WorkflowPage,
    WorkflowStatus,
    moment,
    queue_of,
)
from millstream_streams import ActionCode, EnqueueCode, Enqueued, Idempotency, SignalCode
from millstream_submission import (
    MSGPACK,
    SubmissionError,
    UniqueConflictError,
    build_job,
)
from millstream_telemetry import NO_TRACE
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.running.job_runner import JobRunner
from millstream_testing.running.parts import RunnerParts
from millstream_testing.surface.batch_desk import BatchDesk, Store
from millstream_testing.surface.queue_desk import QueueDesk, QueueRoute
from millstream_testing.surface.refusals import FULL, RefusedError, refusal, refused_as_full
from millstream_testing.surface.template_desk import TemplateDesk
from millstream_testing.surface.workflow_desk import WorkflowDesk
from millstream_testing.virtual_clock import VirtualClock

_MSGPACK_HEADERS: Mapping[str, str] = MappingProxyType({"content-type": "application/vnd.msgpack"})
_HOLDER_HEADERS: Mapping[str, str] = MappingProxyType({**_MSGPACK_HEADERS, "unique-conflict": "true"})
_BATCH_PATH = re.compile("/v1/batches/(?P<id>[^/]+)(/(?P<verb>[a-z]+))?")
_WORKFLOW_PATH = re.compile("/v1/workflows/(?P<id>[^/]+)(/(?P<verb>[a-z]+))?")
_TEMPLATE_PATH = re.compile("/v1/templates/(?P<id>[^/]+)")
_QUEUE_PATH = re.compile("/v1/queues/(?P<type>[^/]+)/(?P<verb>[a-z/]+)")
_MOST_NODES = 50
_JOB_PATH = re.compile("/v1/jobs/(?P<id>[^/]+)(/(?P<verb>[a-z]+)(/(?P<name>[^/]+))?)?")
_DIGEST_BYTES = 16
_SIGNAL_OUTCOMES = {SignalCode.DELIVERED: "delivered", SignalCode.KEPT: "kept", SignalCode.REPLAYED: "replayed"}


def _item(index: int, stored: Enqueued) -> BatchItem:
    """Return the result of a submission of a batch for which a job is there."""
    is_holder, replayed = stored.holder is not None, stored.code is EnqueueCode.REPLAYED
    status = 200 if is_holder else 202
    return BatchItem(index=index, status=status, id=stored.id, replayed=replayed, unique_conflict=is_holder)


class Answer(Struct, frozen=True):
    """A response, as HTTP clients have it."""

    status_code: int
    content: bytes
    headers: Mapping[str, str] = _MSGPACK_HEADERS


class _Request(Struct, frozen=True):
    """A request, taken apart."""

    path: str
    query: dict[str, str]
    key: str
    content: bytes


Route = Callable[[_Request], Coroutine[Any, Any, tuple[int, Any]]]
"""Answers a request. Returns: the status, and what is sent."""

Routes = Mapping[tuple[str, str], Callable[[str, _Request], Coroutine[Any, Any, tuple[int, Any]]]]
"""Those of one thing with an id, by method and verb."""


class Endpoint:
    """The part of the HTTP API that clients call in tests. Lives on the event loop of the kit."""

    def __init__(self, parts: RunnerParts, ledger: Ledger, runner: JobRunner, clock: VirtualClock) -> None:
        self._parts = parts
        self._ledger = ledger
        self._runner = runner
        self._clock = clock
        self.read: set[JobId] = set()
        """The jobs whose end a test has seen."""
        self._routes: dict[tuple[str, str], Route] = {
            ("POST", "/v1/jobs"): self._submit,
            ("POST", "/v1/jobs/batch"): self._submit_batch,
            ("GET", "/v1/jobs"): self._list,
            ("GET", "/v1/dead"): self._dead,
            ("POST", "/v1/dead/redrive"): partial(self._act, ledger.redrive),
            ("POST", "/v1/dead/discard"): partial(self._act, ledger.discard),
            ("GET", "/v1/types"): self._types,
            ("POST", "/v1/workflows"): self._run_workflow,
            ("GET", "/v1/workflows"): self._workflows,
            ("GET", "/v1/templates"): self._templates,
            ("POST", "/v1/batches"): self._create_batch,
            ("GET", "/v1/batches"): self._batches,
        }
        self._batch_desk = BatchDesk(parts, ledger, runner, clock, self._store)
        batch_routes: Routes = {
            ("GET", ""): self._batch,
            ("GET", "jobs"): self._members,
            ("POST", "jobs"): self._add_members,
            ("POST", "close"): self._close_batch,
            ("POST", "cancel"): self._cancel_batch,
        }
        self._desk = WorkflowDesk(parts, ledger, runner, clock)
        self._template_desk = TemplateDesk(parts.broker.templates, clock)
        self._template_routes = {"GET": self._template, "PUT": self._put_template, "DELETE": self._remove_template}
        self._queue_desk = QueueDesk(ledger, clock, self._partitions)
        workflow_routes: Routes = {
            ("GET", ""): self._workflow,
            ("POST", "cancel"): self._cancel_workflow,
            ("POST", "rerun"): self._rerun_workflow,
        }
        job_routes: Routes = {
            ("GET", ""): self._get,
            ("POST", "cancel"): self._cancel,
            ("POST", "retry"): self._retry,
            ("POST", "run-now"): self._run_now,
            ("POST", "priority"): self._set_priority,
            ("POST", "signals"): self._signal,
            ("GET", "steps"): self._steps,
        }
        self._routes_of_one = (
            (_JOB_PATH, job_routes),
            (_WORKFLOW_PATH, workflow_routes),
            (_BATCH_PATH, batch_routes),
        )

    async def respond(self, method: str, url: str, headers: dict[str, str], content: bytes | None) -> Answer:
        """Answer one request."""
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        request = _Request(parts.path, query, headers.get("idempotency-key", ""), content or b"")
        try:
            status, body = await self._route(method, request)(request)
        except RefusedError as error:
            status, body = error.problem.status, error.problem
            if error.retry_after_s is not None:
                headers = {**_MSGPACK_HEADERS, "retry-after": str(error.retry_after_s)}
                return Answer(status, msgspec.msgpack.encode(body), headers)
        # Of a submission this status says that another job stands for it, which the API says in a header.
        is_holder = (method, parts.path, status) == ("POST", "/v1/jobs", 200)
        return Answer(status, msgspec.msgpack.encode(body), _HOLDER_HEADERS if is_holder else _MSGPACK_HEADERS)

    def _route(self, method: str, request: _Request) -> Route:
        if route := self._routes.get((method, request.path)):
            return route
        for path, routes in self._routes_of_one:
            found = path.fullmatch(request.path)
            if found and (of_one := routes.get((method, found["verb"] or ""))):
                return partial(of_one, unquote(found["id"]))
        found = _QUEUE_PATH.fullmatch(request.path)
        if found and (of_queue := self._queue_desk.route(method, found["verb"])):
            return partial(self._of_queue, of_queue, JobType(unquote(found["type"])))
        if (found := _TEMPLATE_PATH.fullmatch(request.path)) and method in self._template_routes:
            return partial(self._template_routes[method], unquote(found["id"]))
        raise RefusedError(404, "not-found", f"the test kit does not answer {method} {request.path}")

    async def _submit(self, request: _Request) -> tuple[int, Job]:
        stored = await self._store(request.content, request.key)
        return 200 if stored.holder else 202, await self._job(stored.id)

    async def _submit_batch(self, request: _Request) -> tuple[int, BatchReceipt]:
        return 207, await self._store_many(request, self._store)

    async def _store_many(self, request: _Request, store: Store) -> BatchReceipt:
        items = []
        for index, part in enumerate(msgspec.msgpack.decode(request.content, type=Batch).jobs):
            try:
                stored = await store(bytes(part), f"{request.key}#{index}", f"/jobs/{index}")
            except RefusedError as error:
                items.append(BatchItem(index=index, status=error.problem.status, problem=error.problem))
            else:
                items.append(_item(index, stored))
        rejected = sum(item.problem is not None for item in items)
        return BatchReceipt(accepted=len(items) - rejected, rejected=rejected, items=items)

    async def _create_batch(self, request: _Request) -> tuple[int, BatchStatus]:
        return 202, await self._batch_desk.create(request.content, request.key)

    async def _batches(self, request: _Request) -> tuple[int, BatchPage]:
        return 200, self._batch_desk.page(request.query.get("state"))

    async def _batch(self, batch_id: str, request: _Request) -> tuple[int, BatchStatus]:
        wait_s = float(request.query.get("wait", 0))
        found = await self._batch_desk.read(batch_id, wait_s)
        if wait_s > 0:
            self.read |= self._batch_desk.settled_of(batch_id)
        return 200, found

    async def _members(self, batch_id: str, request: _Request) -> tuple[int, BatchMemberPage]:
        return 200, self._batch_desk.members(batch_id, request.query.get("state"))

    async def _add_members(self, batch_id: str, request: _Request) -> tuple[int, BatchReceipt]:
        return 207, await self._store_many(request, self._batch_desk.member_store(batch_id, request.query.get("by")))

    async def _close_batch(self, batch_id: str, _request: _Request) -> tuple[int, BatchStatus]:
        return 200, await self._batch_desk.close(batch_id)

    async def _cancel_batch(self, batch_id: str, _request: _Request) -> tuple[int, BatchStatus]:
        return 200, await self._batch_desk.cancel(batch_id)

    async def _store(self, content: bytes, key: str, prefix: str = "") -> Enqueued:
        """Store a submission. Returns: what became of it; the job of its id is there. Raises: RefusedError."""
        parts = self._parts
        try:
            decoded = await parts.intake.decode(DEFAULT_TENANT, content, MSGPACK, prefix)
            policy = await parts.intake.admit(DEFAULT_TENANT, decoded, prefix)
            parents = await parts.dependencies.parents(DEFAULT_TENANT, decoded.submission, prefix)
        except SubmissionError as error:
            raise refusal(error) from error
        built = build_job(
            parts.tracer,
            DEFAULT_TENANT,
            decoded,
            policy,
            caller=NO_TRACE,
            idempotency=Idempotency(_digest(key), _digest(content).hex()),
            parents=parents,
            clock=self._clock.now_s,
        )
        await parts.queues.make_known([built.queue])
        (enqueued,) = await parts.broker.store.enqueue(built.queue, [built.job], is_capped=True)
        if enqueued.code in FULL:
            raise refused_as_full(built.queue.type, enqueued)
        if enqueued.code is EnqueueCode.KEY_REUSED:
            raise RefusedError(422, "idempotency-key-reused")
        if enqueued.code is EnqueueCode.UNIQUE_CONFLICT:
            raise refusal(UniqueConflictError(enqueued.id, prefix))
        return enqueued

    async def _get(self, job_id: str, request: _Request) -> tuple[int, Job]:
        job = await self._job(job_id)
        wait_s = float(request.query.get("wait", 0))
        if wait_s > 0 and not job.state.is_settled:
            await self._runner.follow(job.id, self._clock.now_ms + round(wait_s * 1000))
            job = await self._job(job_id)
        if wait_s > 0 and job.state.is_settled:
            self.read.add(job.id)
        return 200, job

    async def _cancel(self, job_id: str, _request: _Request) -> tuple[int, Job]:
        return 202, await self._acted_on(job_id, await self._runner.cancel(job_id), "cancelled")

    async def _retry(self, job_id: str, request: _Request) -> tuple[int, Job]:
        code = self._ledger.redrive(job_id, fresh=request.query.get("fresh") == "1")
        return 202, await self._acted_on(job_id, code, "retried, only a dead one")

    async def _run_now(self, job_id: str, _request: _Request) -> tuple[int, Job]:
        code = self._ledger.run_now(job_id)
        return 202, await self._acted_on(job_id, code, "run now, only one that waits for a time")

    async def _set_priority(self, job_id: str, request: _Request) -> tuple[int, Job]:
        asked = msgspec.msgpack.decode(request.content, type=NewPriority)
        code = self._ledger.set_priority(job_id, asked.priority)
        return 202, await self._acted_on(job_id, code, "given a priority, it has started")

    async def _signal(self, job_id: str, request: _Request) -> tuple[int, SignalReceipt]:
        name = unquote(request.path.rpartition("/")[2])
        job = await self._job(job_id)
        known = Idempotency(_digest(request.key), _digest(request.content).hex())
        code = self._ledger.signal(job_id, name, request.content, known)
        if code in {SignalCode.ENDED, SignalCode.TOO_MANY}:
            raise RefusedError(409, "wrong-state", f"the job is {job.state}, or keeps as many signals as it may")
        if code is SignalCode.KEY_REUSED:
            raise RefusedError(422, "idempotency-key-reused")
        return 202, SignalReceipt(id=job.id, name=name, outcome=_SIGNAL_OUTCOMES[code])  # type: ignore[arg-type]

    async def _steps(self, job_id: str, _request: _Request) -> tuple[int, JobSteps]:
        job = await self._job(job_id)
        stored = self._ledger.jobs[job.id]
        steps = [
            JobStep(name=name, kind=one.kind, saved_at=moment(one.at_ms), version=one.version or None)
            for name, one in stored.steps.items()
        ]
        names = [name for name, _ in stored.signals]
        return 200, JobSteps(id=job.id, waiting_for=job.waiting_for, steps=steps, kept_signals=names)

    async def _acted_on(self, job_id: str, code: ActionCode, verb: str) -> Job:
        job = await self._job(job_id)
        if code is ActionCode.WRONG_STATE:
            raise RefusedError(409, "wrong-state", f"the job is {job.state}: it cannot be {verb}")
        if code is ActionCode.UNIQUE_CONFLICT:
            raise RefusedError(409, "unique-conflict", f"the job cannot be {verb}: another job holds its unique key")
        return job

    async def _list(self, request: _Request) -> tuple[int, Page]:
        state = request.query.get("state")
        found = [job for job in self._of_type(request) if not job.state.is_terminal and state in {None, job.state}]
        jobs = [await self._job(job.id) for job in found]
        return 200, Page([msgspec.structs.replace(job, payload=None, result=None) for job in jobs])

    async def _dead(self, request: _Request) -> tuple[int, DeadLetterPage]:
        dead = [job for job in self._of_type(request) if job.state is JobState.DEAD]
        self.read |= {job.id for job in dead}
        letters = [
            letter for job in dead for letter in await self._parts.broker.views.dead_letters(job.queue, [job.id])
        ]
        return 200, DeadLetterPage(sorted(letters, key=lambda letter: letter.died_at, reverse=True))

    async def _act(self, change: Callable[[str], ActionCode], request: _Request) -> tuple[int, ActionReport]:
        chosen = msgspec.msgpack.decode(request.content, type=DeadLetterAction)
        dead = [job for job in self._ledger.jobs.values() if job.state is JobState.DEAD]
        ids = chosen.ids or [job.id for job in dead if job.queue.type == chosen.type][-chosen.limit :]
        statuses = {ActionCode.DONE: 202, ActionCode.WRONG_STATE: 409, ActionCode.UNKNOWN_JOB: 404}
        items = [ActionResult(job_id, statuses[change(job_id)]) for job_id in dict.fromkeys(ids)]
        done = sum(item.status == 202 for item in items)
        return 202, ActionReport(done, len(items) - done, items)

    async def _types(self, _request: _Request) -> tuple[int, dict[str, Any]]:
        return 200, {"items": [handler.registration() for handler in self._parts.handlers.values()]}

    async def _run_workflow(self, request: _Request) -> tuple[int, WorkflowAccepted]:
        return 202, await self._desk.submit(request.content, request.key)

    async def _workflows(self, request: _Request) -> tuple[int, WorkflowPage]:
        return 200, self._desk.page(request.query.get("state"), request.query.get("name"))

    async def _workflow(self, workflow_id: str, request: _Request) -> tuple[int, WorkflowNodePage]:
        which, query = request.query.get("nodes"), request.query
        wait_s = float(query.get("wait", 0))
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", _MOST_NODES))
        page = await self._desk.read(
            workflow_id,
            NodeFilter(which) if which else None,
            start,
            limit,
            wait_s,
            with_inputs=query.get("results") == "1",
        )
        if wait_s > 0:
            self.read |= self._desk.dead_of(workflow_id)
        return 200, page

    async def _cancel_workflow(self, workflow_id: str, _request: _Request) -> tuple[int, WorkflowStatus]:
        return 200, await self._desk.cancel(workflow_id)

    async def _rerun_workflow(self, workflow_id: str, request: _Request) -> tuple[int, WorkflowStatus]:
        return 200, self._desk.rerun(workflow_id, request.content)

    async def _templates(self, request: _Request) -> tuple[int, TemplatePage]:
        return 200, await self._template_desk.page(request.query.get("name", ""))

    async def _template(self, name: str, _request: _Request) -> tuple[int, Template]:
        return 200, await self._template_desk.find(name)

    async def _put_template(self, name: str, request: _Request) -> tuple[int, Template]:
        return await self._template_desk.put(name, request.content)

    async def _remove_template(self, name: str, _request: _Request) -> tuple[int, Template]:
        return 200, await self._template_desk.remove(name)

    async def _of_queue(self, answer: QueueRoute, job_type: JobType, request: _Request) -> tuple[int, QueueSettings]:
        return 200, answer(job_type, request.query, request.content)

    def _partitions(self, job_type: JobType) -> int:
        handler = self._parts.handlers.get(job_type)
        return handler.policy.partitions if handler else 1

    def _of_type(self, request: _Request) -> list[StoredJob]:
        wanted = request.query.get("type")
        return [job for job in self._ledger.jobs.values() if wanted in {None, job.queue.type}]

    async def _job(self, job_id: str) -> Job:
        queue = queue_of(DEFAULT_TENANT, job_id)
        job = None if queue is None else await self._parts.broker.views.job(queue, JobId(job_id))
        if job is None:
            raise RefusedError(404, "job-not-found")
        return job


def _digest(of: str | bytes) -> bytes:
    text = of.encode() if isinstance(of, str) else of
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
