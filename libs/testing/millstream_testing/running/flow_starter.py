"""Starts the jobs of nodes that are ready, as a dispatcher does, and ends those of cancelled workflows."""

from collections.abc import Callable, Coroutine
from typing import Any

from millstream_contracts import DEFAULT_TENANT, UNDECODABLE, JobId
from millstream_streams import job_id_of
from millstream_submission import BuiltJob, SubmissionError, SystemSubmitter, held_by
from millstream_telemetry import NO_TRACE
from millstream_testing.memory.flows import Flow, Flows, node_ref
from millstream_testing.memory.memory_broker import running_job
from millstream_workflows import InputError, compose, map_items

MAX_REASON = 200

_REFUSALS = (InputError, SubmissionError, *UNDECODABLE)


class FlowStarter:
    """Does what is to be done for workflows. `cancel` ends a job."""

    def __init__(
        self, flows: Flows, submitter: SystemSubmitter, cancel: Callable[[str], Coroutine[Any, Any, object]]
    ) -> None:
        self._flows = flows
        self._submitter = submitter
        self._cancel = cancel

    async def run(self) -> None:
        """Start what is ready, and end what is to be ended, until there is nothing more."""
        # A handler that waits for a workflow is not the parent of its jobs.
        token = running_job.set(None)
        try:
            while self._flows.ready or self._flows.undone:
                for job_id in self._taken_undone():
                    await self._cancel(job_id)
                if self._flows.ready:
                    await self._start(*self._flows.ready.pop(0))
        finally:
            running_job.reset(token)

    def _taken_undone(self) -> list[JobId]:
        taken, self._flows.undone = self._flows.undone, []
        return taken

    async def _start(self, flow: Flow, place: int) -> None:
        node = flow.nodes[place]
        if node.state != "starting":
            return
        results = flow.inputs_of(node.planned.inputs)
        try:
            items = map_items(node.planned.blueprint, results) if node.planned.is_map else [None]
            built = [await self._job(flow, place, results, at, item) for at, item in enumerate(items)]
        except _REFUSALS as error:
            reason = error.reason if isinstance(error, InputError) else " ".join(str(error).split())[:MAX_REASON]
            self._flows.refuse(flow, place, reason)
            return
        answers = await self._submitter.store(built)
        if kept_out := [one.holder for one in answers if one.holder]:
            self._flows.refuse(flow, place, held_by(kept_out[0]))
            return
        self._flows.started(flow, place, len(built) if node.planned.is_map else None)

    async def _job(self, flow: Flow, place: int, results: dict[str, bytes], at: int, value: bytes | None) -> BuiltJob:
        node = flow.nodes[place]
        item = at if node.planned.is_map else None
        return await self._submitter.build(
            DEFAULT_TENANT,
            compose(node.planned.blueprint, results, value),
            None,
            caller=NO_TRACE,
            job_id=job_id_of(node.first_job_id, node.run, item),
            node=node_ref(flow, place, item),
        )
