"""What routes ask about workflows: submit, list, read, cancel, run again."""

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from millstream_contracts import (
    FieldError,
    JobId,
    NodeFilter,
    NodeState,
    RerunRequest,
    Tenant,
    WorkflowAccepted,
    WorkflowId,
    WorkflowNodePage,
    WorkflowPage,
    WorkflowState,
    WorkflowStatus,
    did_you_mean,
    limits,
)
from millstream_history import History, WorkflowQuery
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.problems import INVALID_REQUEST, JOB_FORGOTTEN, WORKFLOW_FORGOTTEN, WRONG_STATE
from millstream_ingest.inspection.name_pages import cursor_of, read_cursor
from millstream_ingest.submission.idempotency import IdempotencyKey, reused
from millstream_ingest.workflows.checked_workflow import WorkflowChecker
from millstream_ingest.workflows.new_workflows import new_workflow
from millstream_ingest.workflows.workflow_finder import WorkflowFinder
from millstream_streams import ActionCode, Broker, CreateCode, CursorError, NewWorkflow, RerunCode
from millstream_telemetry import JobTracer, TraceContext
from millstream_workflows import pointer_to

MAX_HINTS = 1_000
"""Among how many names one that is misspelt is looked for."""

_PLACE = re.compile(r"\d{1,6}", re.ASCII)


class AcceptedWorkflow(Struct, frozen=True):
    """A workflow that is stored."""

    accepted: WorkflowAccepted
    replayed: bool = False
    """Whether an earlier request with the same key made it."""


class WorkflowDesk:
    """The workflows of all tenants. Every method may raise StoreError."""

    def __init__(
        self, broker: Broker, checker: WorkflowChecker, tracer: JobTracer, history: History | None = None
    ) -> None:
        self._broker = broker
        self._finder = WorkflowFinder(broker, history)
        self._workflows = broker.workflows
        self._checker = checker
        self._tracer = tracer

    async def submit(
        self,
        tenant: Tenant,
        body: bytes,
        encoding: Encoding,
        *,
        caller: TraceContext,
        key: IdempotencyKey | None,
        count: Callable[[int], Awaitable[None]],
        owner: str = "",
        types: Sequence[str] = (),
    ) -> AcceptedWorkflow:
        """Store the workflow that a body describes.

        `count` is called with the number of its nodes, and may refuse them. `owner` is who submits it. `types`
        are the patterns that the type of each node has to match, where there are any.
        Raises: SubmissionError, IngestError (403, 410, 422), and what `count` raises.
        """
        checked = await self._checker.check(tenant, body, encoding)
        for name, node in checked.submission.nodes.items() if types else ():
            check_type(types, node.type, f"{pointer_to('nodes', name)}/type")
        await count(len(checked.submission.nodes))
        idempotency = key.of_request(*checked.identity) if key else None
        workflow_id = self._workflows.id_of(tenant, idempotency.key) if idempotency else self._workflows.new_id(tenant)
        send = self._tracer.send_workflow(checked.submission.name, workflow_id, caller, tenant=tenant)
        new = new_workflow(
            tenant,
            workflow_id,
            checked,
            now_ms=self._broker.clock.now_ms(),
            trace=send.context.traceparent,
            idempotency=idempotency,
            owner=owner,
        )
        created = await self._workflows.create(tenant, new)
        if created.code is CreateCode.KEY_REUSED:
            raise reused()
        if created.code is CreateCode.REPLAYED:
            return AcceptedWorkflow(await self._earlier(tenant, created.id), replayed=True)
        send.stored()
        return AcceptedWorkflow(_accepted(new))

    async def page(self, tenant: Tenant, asked: WorkflowQuery, *, cursor: str | None, limit: int) -> WorkflowPage:
        """Return a page of workflows, newest first. Raises: CursorError."""
        return await self._finder.page(tenant, asked, cursor=cursor, limit=limit)

    async def find(
        self,
        tenant: Tenant,
        workflow_id: WorkflowId,
        which: NodeFilter | None,
        *,
        cursor: str | None,
        limit: int,
        with_inputs: bool = False,
    ) -> WorkflowNodePage:
        """Return a workflow with a page of its nodes. Raises: IngestError (404), CursorError, HistoryError."""
        start = _read_place(cursor)
        found = await self._finder.find(tenant, workflow_id)
        nodes, next_start = await self._finder.nodes(
            tenant, found, which, start=start, limit=limit, with_inputs=with_inputs
        )
        next_cursor = None if next_start is None else cursor_of(str(next_start))
        return WorkflowNodePage(workflow=found.status, nodes=nodes, next_cursor=next_cursor)

    async def owner(self, tenant: Tenant, workflow_id: WorkflowId) -> str | None:
        """Return who has submitted a workflow; None where that is not known. Raises: HistoryError."""
        return await self._finder.owner(tenant, workflow_id)

    async def is_of(self, tenant: Tenant, workflow_id: WorkflowId, types: Sequence[str]) -> bool:
        """Return whether there is such a workflow, and each node of it is known to be of these types.

        `types` are patterns. Raises: HistoryError.
        """
        return await self._finder.is_of(tenant, workflow_id, types)

    async def cancel(self, tenant: Tenant, workflow_id: WorkflowId) -> WorkflowStatus:
        """Cancel what has not ended of a workflow. Raises: IngestError (404, 409), HistoryError."""
        await self._finder.find(tenant, workflow_id)
        code = await self._workflows.cancel(tenant, workflow_id, "over the API")
        found = await self._finder.find(tenant, workflow_id)
        if code in {ActionCode.WRONG_STATE, ActionCode.UNKNOWN_JOB}:
            raise IngestError(WRONG_STATE, f"the workflow has ended: it is {found.status.state}")
        return found.status

    async def rerun(
        self, tenant: Tenant, workflow_id: WorkflowId, asked: RerunRequest, key: IdempotencyKey | None
    ) -> tuple[WorkflowStatus, bool]:
        """Run nodes again. Returns: the workflow, and whether an earlier request with the key did it.

        Raises: IngestError (404, 409, 410, 422), HistoryError.
        """
        if (asked.from_ is None) != asked.failed:
            detail = "expected either `from`, the nodes to begin with, or `failed`, with true"
            raise IngestError(INVALID_REQUEST, errors=[FieldError("", detail)])
        if (await self._finder.find(tenant, workflow_id)).stored is None:
            raise _only_read(workflow_id)
        places = None if asked.from_ is None else await self._places(tenant, workflow_id, asked.from_)
        request = key.of_request(asked).fingerprint.encode() if key else secrets.token_bytes(16)
        code = await self._workflows.rerun(tenant, workflow_id, places, request=request)
        if code is RerunCode.RUNNING:
            detail = "no node has failed, or one of those that would run again is starting or running"
            raise IngestError(WRONG_STATE, detail)
        if code is RerunCode.CHANGED:
            raise IngestError(WRONG_STATE, "the workflow went on meanwhile: read it, and repeat the request")
        found = await self._finder.find(tenant, workflow_id)
        if code is RerunCode.NOT_FOUND:
            raise _only_read(workflow_id)
        return found.status, code is RerunCode.REPLAYED

    async def _earlier(self, tenant: Tenant, workflow_id: WorkflowId) -> WorkflowAccepted:
        stored = (await self._workflows.read(tenant, [workflow_id])).get(workflow_id)
        if stored is None:
            detail = f"this key made the workflow {workflow_id}, which has ended and can be read no longer"
            raise IngestError(JOB_FORGOTTEN, detail)
        jobs: dict[str, JobId] = {}
        start: int | None = 0
        while start is not None:
            nodes, start = await self._workflows.nodes(tenant, workflow_id, start=start, limit=limits.MAX_PAGE)
            jobs |= {node.name: node.first_job_id for node in nodes if not (node.is_map or node.is_placed_late)}
        return WorkflowAccepted(id=stored.id, state=stored.state, counts=stored.counts, nodes=jobs)

    async def _places(self, tenant: Tenant, workflow_id: WorkflowId, names: Sequence[str]) -> list[int]:
        places: dict[str, int] = {}
        start: int | None = 0
        while start is not None:
            nodes, start = await self._workflows.nodes(tenant, workflow_id, start=start, limit=limits.MAX_PAGE)
            places |= {node.name: node.place for node in nodes}
        known = list(places)[:MAX_HINTS]
        faults = [
            FieldError(f"/from/{at}", f"there is no node `{name}`{did_you_mean(name, known) if at < 3 else ''}")
            for at, name in enumerate(names)
            if name not in places
        ]
        if faults:
            raise IngestError(INVALID_REQUEST, errors=faults)
        return [places[name] for name in dict.fromkeys(names)]


def _accepted(new: NewWorkflow) -> WorkflowAccepted:
    waiting = sum(bool(node.parents) for node in new.nodes)
    counts = {NodeState.WAITING: waiting, NodeState.STARTING: len(new.nodes) - waiting}
    return WorkflowAccepted(
        id=new.id,
        state=WorkflowState.RUNNING,
        counts={state: count for state, count in counts.items() if count},
        nodes={node.name: node.job_id for node in new.nodes if not (node.is_map or node.is_placed_late)},
    )


def _only_read(workflow_id: str) -> IngestError:
    detail = f"the `retention_s` of the workflow {workflow_id} is over: submit it again"
    return IngestError(WORKFLOW_FORGOTTEN, detail)


def _read_place(cursor: str | None) -> int:
    """Return the place from which nodes go on. Raises: CursorError."""
    if cursor is None:
        return 0
    text = read_cursor(cursor)
    if not _PLACE.fullmatch(text):
        raise CursorError("this is not a cursor of this list")
    return int(text)
