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
    BatchReceipt,
    DeadLetterAction,
    DeadLetterPage,
    FieldError,
    Job,
    JobId,
    JobState,
    Page,
    Problem,
    queue_of,
)
from millstream_streams import ActionCode, EnqueueCode, Idempotency
from millstream_submission import (
    MSGPACK,
    MalformedError,
    SubmissionError,
    TooLargeError,
    build_job,
    decode_submission,
)
from millstream_telemetry import NO_TRACE
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.running.job_runner import JobRunner
from millstream_testing.running.parts import RunnerParts
from millstream_testing.virtual_clock import VirtualClock

_MSGPACK_HEADERS: Mapping[str, str] = MappingProxyType({"content-type": "application/vnd.msgpack"})
_JOB_PATH = re.compile("/v1/jobs/(?P<id>[^/]+)(/(?P<verb>[a-z]+))?")
_DIGEST_BYTES = 16
_PROBLEMS = {400: "malformed-body", 413: "too-large", 422: "invalid-request"}


class Answer(Struct, frozen=True):
    """A response, as HTTP clients have it."""

    status_code: int
    content: bytes
    headers: Mapping[str, str] = _MSGPACK_HEADERS


class _RefusedError(Exception):
    """A request is refused."""

    def __init__(self, status: int, slug: str, detail: str = "", errors: list[FieldError] | None = None) -> None:
        title = slug.replace("-", " ").capitalize()
        self.problem = Problem(type=f"/problems/{slug}", title=title, status=status, detail=detail, errors=errors or [])
        super().__init__(detail)


class _Request(Struct, frozen=True):
    """A request, taken apart."""

    path: str
    query: dict[str, str]
    key: str
    content: bytes


Route = Callable[[_Request], Coroutine[Any, Any, tuple[int, Any]]]
"""Answers a request. Returns: the status, and what is sent."""


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
        }
        self._job_routes: dict[tuple[str, str], Callable[[str, _Request], Coroutine[Any, Any, tuple[int, Any]]]] = {
            ("GET", ""): self._get,
            ("POST", "cancel"): self._cancel,
            ("POST", "retry"): self._retry,
        }

    async def respond(self, method: str, url: str, headers: dict[str, str], content: bytes | None) -> Answer:
        """Answer one request."""
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        request = _Request(parts.path, query, headers.get("idempotency-key", ""), content or b"")
        try:
            status, body = await self._route(method, request)(request)
        except _RefusedError as error:
            status, body = error.problem.status, error.problem
        return Answer(status, msgspec.msgpack.encode(body))

    def _route(self, method: str, request: _Request) -> Route:
        if route := self._routes.get((method, request.path)):
            return route
        if found := _JOB_PATH.fullmatch(request.path):
            job_route = self._job_routes.get((method, found["verb"] or ""))
            if job_route is not None:
                return partial(job_route, unquote(found["id"]))
        raise _RefusedError(404, "not-found", f"the test kit does not answer {method} {request.path}")

    async def _submit(self, request: _Request) -> tuple[int, Job]:
        job_id, _ = await self._store(request.content, request.key)
        return 202, await self._job(job_id)

    async def _submit_batch(self, request: _Request) -> tuple[int, BatchReceipt]:
        items = []
        for index, part in enumerate(msgspec.msgpack.decode(request.content, type=Batch).jobs):
            try:
                job_id, replayed = await self._store(bytes(part), f"{request.key}#{index}", f"/jobs/{index}")
            except _RefusedError as error:
                items.append(BatchItem(index=index, status=error.problem.status, problem=error.problem))
            else:
                items.append(BatchItem(index=index, status=202, id=job_id, replayed=replayed))
        rejected = sum(item.problem is not None for item in items)
        return 207, BatchReceipt(accepted=len(items) - rejected, rejected=rejected, items=items)

    async def _store(self, content: bytes, key: str, prefix: str = "") -> tuple[JobId, bool]:
        """Store a submission. Returns: its id, and whether an earlier request with the same key has made it."""
        parts = self._parts
        try:
            decoded = decode_submission(content, MSGPACK, prefix, self._clock.now_s)
            known = await parts.catalogue.of(DEFAULT_TENANT)
            policy = await parts.admission.admit_by_newest(decoded, known, parts.catalogue, DEFAULT_TENANT, prefix)
            parents = await parts.dependencies.parents(DEFAULT_TENANT, decoded.submission, prefix)
        except SubmissionError as error:
            raise _refusal(error) from error
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
        (enqueued,) = await parts.broker.store.enqueue(built.queue, [built.job])
        if enqueued.code is EnqueueCode.KEY_REUSED:
            raise _RefusedError(422, "idempotency-key-reused")
        return enqueued.id, enqueued.code is EnqueueCode.REPLAYED

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

    async def _retry(self, job_id: str, _request: _Request) -> tuple[int, Job]:
        return 202, await self._acted_on(job_id, self._ledger.redrive(job_id), "retried, only a dead one")

    async def _acted_on(self, job_id: str, code: ActionCode, verb: str) -> Job:
        job = await self._job(job_id)
        if code is ActionCode.WRONG_STATE:
            raise _RefusedError(409, "wrong-state", f"the job is {job.state}: it cannot be {verb}")
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

    def _of_type(self, request: _Request) -> list[StoredJob]:
        wanted = request.query.get("type")
        return [job for job in self._ledger.jobs.values() if wanted in {None, job.queue.type}]

    async def _job(self, job_id: str) -> Job:
        queue = queue_of(DEFAULT_TENANT, job_id)
        job = None if queue is None else await self._parts.broker.views.job(queue, JobId(job_id))
        if job is None:
            raise _RefusedError(404, "job-not-found")
        return job


def _refusal(error: SubmissionError) -> _RefusedError:
    status = 413 if isinstance(error, TooLargeError) else 400 if isinstance(error, MalformedError) else 422
    return _RefusedError(status, _PROBLEMS[status], error.detail, list(error.errors))


def _digest(of: str | bytes) -> bytes:
    text = of.encode() if isinstance(of, str) else of
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
