"""A handle on a workflow, for programs that run on an event loop. `sync_workflow_run.py` is made from this module."""

from collections.abc import Iterable
from typing import Any, Protocol, overload

from typing_extensions import TypeVar

from millstream.jobs.job_handle import JobHandle, JobReader
from millstream.jobs.result_reader import read_result
from millstream.payloads import ANYTHING, DataType
from millstream.workflows.workflow import Node
from millstream_contracts import (
    JobId,
    NodeFilter,
    WorkflowAccepted,
    WorkflowId,
    WorkflowNode,
    WorkflowNodePage,
    WorkflowState,
    WorkflowStatus,
)

T = TypeVar("T")
R = TypeVar("R")


class WorkflowReader(JobReader, Protocol):
    """What a handle asks about its workflow: a client."""

    async def workflow(self, workflow_id: str, /) -> WorkflowStatus:
        """Return a workflow."""
        ...

    async def wait_for_workflow(self, workflow_id: str, timeout: float = ..., /) -> WorkflowStatus:  # noqa: ASYNC109
        """Return a workflow that has succeeded, waiting for it."""
        ...

    async def workflow_nodes(
        self, workflow_id: str, *, nodes: NodeFilter | str | None = ..., cursor: str | None = ...
    ) -> WorkflowNodePage:
        """Return a page of its nodes."""
        ...

    async def cancel_workflow(self, workflow_id: str, /) -> WorkflowStatus:
        """Cancel a workflow."""
        ...

    async def rerun_workflow(
        self,
        workflow_id: str,
        nodes: Iterable[str] | None = ...,
        *,
        failed: bool = ...,
        idempotency_key: str | None = ...,
    ) -> WorkflowStatus:
        """Run nodes again."""
        ...


class WorkflowRun:
    """A workflow that was submitted."""

    def __init__(self, reader: WorkflowReader, accepted: WorkflowAccepted | WorkflowId) -> None:
        """Take the answer to its submission, or its id alone."""
        self.id: WorkflowId = accepted.id if isinstance(accepted, WorkflowAccepted) else accepted
        self.jobs: dict[str, JobId] = accepted.nodes if isinstance(accepted, WorkflowAccepted) else {}
        """The ids of the jobs of its nodes, as far as they are known: of the first run, without nodes that map.

        Nor has it nodes whose key is made of a result and chooses among several partitions.
        """
        self._reader = reader

    def __repr__(self) -> str:
        return f"<WorkflowRun {self.id}>"

    async def status(self) -> WorkflowStatus:
        """Return the workflow as it is now, with the number of its nodes in each state. Raises: ApiError."""
        return await self._reader.workflow(self.id)

    async def state(self) -> WorkflowState:
        """Return where the workflow is now. Raises: ApiError."""
        return (await self.status()).state

    async def nodes(self, which: NodeFilter | str | None = None) -> list[WorkflowNode]:
        """Return its nodes, in the order of the submission: all, those in a state, or `failed`. Raises: ApiError."""
        found: list[WorkflowNode] = []
        cursor: str | None = None
        while True:
            page = await self._reader.workflow_nodes(self.id, nodes=which, cursor=cursor)
            found += page.nodes
            cursor = page.next_cursor
            if not cursor:
                return found

    @overload
    async def result(self, timeout: float = 30.0) -> Any: ...  # noqa: ASYNC109 - as above

    @overload
    async def result(self, timeout: float = 30.0, *, into: type[T]) -> T: ...  # noqa: ASYNC109

    async def result(self, timeout: float = 30.0, *, into: Any = None) -> Any:  # noqa: ASYNC109 - as above
        """Wait for the end, at most `timeout` seconds, and return what `Workflow.returns` said, as `into` where given.

        Raises: WorkflowFailedError when it has failed, was cancelled or is stalled, WaitTimeoutError, ResultError,
        ApiError.
        """
        done = await self._reader.wait_for_workflow(self.id, timeout)
        return read_result(done.result, ANYTHING if into is None else DataType(into, is_result=True), self.id)

    def job(self, node: Node[R]) -> JobHandle[R]:
        """Return a handle on the job of a node, as far as its id is known. Raises: LookupError. Makes no request."""
        job_id = self.jobs.get(node.name)
        if job_id is None:
            raise LookupError(f"the job of node `{node.name}` is not known: ask for the `nodes()` of {self.id}")
        return JobHandle(self._reader, job_id, node.gives)

    async def cancel(self) -> WorkflowStatus:
        """Cancel what has not ended. Raises: ConflictError when it has ended, ApiError."""
        return await self._reader.cancel_workflow(self.id)

    async def rerun(
        self,
        nodes: Iterable[str | Node[Any]] | None = None,
        *,
        failed: bool = False,
        idempotency_key: str | None = None,
    ) -> WorkflowStatus:
        """Run nodes again with all behind them: these, or with `failed` those that are dead, cancelled or expired.

        Raises: TypeError, unless it is one of the two; ConflictError while one of them runs, ApiError.
        """
        names = None if nodes is None else [one if isinstance(one, str) else one.name for one in nodes]
        return await self._reader.rerun_workflow(self.id, names, failed=failed, idempotency_key=idempotency_key)
