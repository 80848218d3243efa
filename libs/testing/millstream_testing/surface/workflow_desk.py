"""Answers requests about workflows from memory, by the checks of every submission."""

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    UNDECODABLE,
    FieldError,
    JobId,
    JobState,
    JobType,
    NodeFilter,
    NodeInput,
    NodeItems,
    NodeState,
    NodeSubmission,
    Queue,
    RerunRequest,
    TypePolicy,
    WorkflowAccepted,
    WorkflowId,
    WorkflowNode,
    WorkflowNodePage,
    WorkflowPage,
    WorkflowStatus,
    WorkflowSubmission,
    did_you_mean,
    moment,
)
from millstream_contracts.ids import derived_job_id, new_job_id
from millstream_streams import ActionCode
from millstream_submission import MSGPACK, Decoded, SubmissionError, check_submission, decode, partition_of
from millstream_testing.memory.flows import Flow, FlowNode
from millstream_testing.memory.ledger import Ledger
from millstream_testing.running.job_runner import JobRunner
from millstream_testing.running.parts import RunnerParts
from millstream_testing.surface.refusals import RefusedError, refusal
from millstream_testing.virtual_clock import VirtualClock
from millstream_workflows import (
    InputError,
    Plan,
    PlannedNode,
    WorkflowError,
    compose_result,
    job_of,
    plan,
    pointer_to,
)

_decode = msgspec.msgpack.Decoder().decode
_decode_workflow = msgspec.msgpack.Decoder(WorkflowSubmission).decode
_decode_rerun = msgspec.msgpack.Decoder(RerunRequest).decode
_DIGEST_BYTES = 16


class WorkflowDesk:
    """The workflows of a test, as the API shows them."""

    def __init__(self, parts: RunnerParts, ledger: Ledger, runner: JobRunner, clock: VirtualClock) -> None:
        self._parts = parts
        self._ledger = ledger
        self._flows = ledger.flows
        self._runner = runner
        self._clock = clock
        self._keys: dict[str, tuple[bytes, WorkflowId]] = {}

    async def submit(self, content: bytes, key: str) -> WorkflowAccepted:
        """Store a workflow; once by its idempotency key. Raises: RefusedError."""
        digest = hashlib.blake2b(content).digest()
        if key in self._keys:
            known, workflow_id = self._keys[key]
            if known != digest:
                raise RefusedError(422, "idempotency-key-reused")
            return _accepted(self._flows.all[workflow_id])
        try:
            submission = self._checked(content)
            planned = plan(submission)
            policies = [await self._policy(node, submission.nodes[node.name]) for node in planned.nodes]
        except SubmissionError as error:
            raise refusal(error) from error
        except WorkflowError as error:
            raise RefusedError(422, "invalid-request", str(error), error.errors) from error
        flow = self._flow(submission, planned, policies)
        self._keys[key] = digest, flow.id
        self._flows.add(flow)
        return _accepted(flow)

    async def read(
        self, workflow_id: str, which: NodeFilter | None, start: int, limit: int, wait_s: float, *, with_inputs: bool
    ) -> WorkflowNodePage:
        """Return a workflow with a page of its nodes; what keeps it going runs for `wait_s` at most."""
        flow = self._found(workflow_id)
        if wait_s > 0 and not flow.state.is_settled:
            await self._runner.follow_flow(flow, self._clock.now_ms + round(wait_s * 1000))
        nodes = [
            (place, _shown_node(flow, node, with_inputs=with_inputs))
            for place, node in enumerate(flow.nodes)
            if place >= start and (which is None or node.state in which.states)
        ]
        next_cursor = str(nodes[limit][0]) if len(nodes) > limit else None
        return WorkflowNodePage(
            workflow=self.shown(flow), nodes=[node for _, node in nodes[:limit]], next_cursor=next_cursor
        )

    def page(self, state: str | None, name: str | None) -> WorkflowPage:
        """Return the workflows, newest first."""
        found = [one for flow in self._flows.all.values() if (one := self._flows.find(flow.id))]
        chosen = [flow for flow in found[::-1] if state in {None, flow.state} and name in {None, flow.name}]
        return WorkflowPage(items=[replace(self.shown(flow), result=None) for flow in chosen])

    async def cancel(self, workflow_id: str) -> WorkflowStatus:
        """Cancel a workflow. Raises: RefusedError."""
        flow = self._found(workflow_id)
        if self._flows.cancel(flow) is ActionCode.WRONG_STATE:
            raise RefusedError(409, "wrong-state", f"the workflow has ended: it is {flow.state}")
        await self._runner.start_nodes()
        return self.shown(flow)

    def rerun(self, workflow_id: str, content: bytes) -> WorkflowStatus:
        """Run nodes again. Raises: RefusedError."""
        flow, asked = self._found(workflow_id), _decode_rerun(content)
        places = None if asked.from_ is None else _places(flow, asked.from_)
        is_done, dead = self._flows.rerun(flow, places)
        if not is_done:
            detail = "no node has failed, or one of those that would run again is starting or running"
            raise RefusedError(409, "wrong-state", detail)
        for job_id in dead:
            self._ledger.discard(job_id)
        return self.shown(flow)

    def dead_of(self, workflow_id: str) -> set[JobId]:
        """Return the dead jobs of a workflow that does not go on by itself: a test that has waited has seen them."""
        flow = self._found(workflow_id)
        ids = {job_id for node in flow.nodes for job_id in node.job_ids()} if flow.state.is_settled else set()
        return {one for one in ids if (job := self._ledger.find(one)) and job.state is JobState.DEAD}

    def shown(self, flow: Flow) -> WorkflowStatus:
        """Return a workflow with its result."""
        result, fault = None, None
        if flow.plan.result and flow.state == "succeeded":
            try:
                result = _decode(compose_result(flow.plan.result, flow.inputs_of(flow.plan.result_inputs)))
            except (InputError, *UNDECODABLE) as error:
                fault = str(error)
        return WorkflowStatus(
            id=flow.id,
            name=flow.name,
            state=flow.state,
            counts=flow.counts(),
            created_at=moment(flow.created_ms),
            finished_at=None if flow.finished_ms is None else moment(flow.finished_ms),
            run=flow.run,
            on_failure=flow.on_failure,
            retention_s=flow.retention_s,
            result=result,
            reason=flow.reason or fault,
        )

    def _checked(self, content: bytes) -> WorkflowSubmission:
        submission = decode(_decode_workflow, content, WorkflowSubmission)
        nodes = {}
        for name, node in submission.nodes.items():
            prefix = pointer_to("nodes", name)
            decoded = check_submission(job_of(node), MSGPACK, prefix, self._clock.now_s)
            nodes[name] = replace(node, payload=Raw(decoded.payload))
        return replace(submission, nodes=nodes)

    async def _policy(self, planned: PlannedNode, node: NodeSubmission) -> TypePolicy:
        prefix, intake = pointer_to("nodes", planned.name), self._parts.intake
        if planned.is_template:
            return await intake.admit_type(DEFAULT_TENANT, JobType(node.type), prefix)
        decoded = Decoded(job_of(node), bytes(node.payload), _decode(node.payload))
        return await intake.admit(DEFAULT_TENANT, decoded, prefix)

    def _flow(self, submission: WorkflowSubmission, planned: Plan, policies: Iterable[TypePolicy]) -> Flow:
        number = new_job_id(Queue(DEFAULT_TENANT, JobType("wf")), self._clock.now_ms)
        workflow_id = WorkflowId("WF" + number.removeprefix("wf"))
        wanted = {*planned.result_inputs, *(place for node in planned.nodes for place in node.inputs)}
        nodes = []
        for place, (node, policy) in enumerate(zip(planned.nodes, policies, strict=True)):
            digest = hashlib.blake2b(f"{workflow_id} {node.name}".encode(), digest_size=_DIGEST_BYTES).digest()
            key = submission.nodes[node.name].key or ""
            queue = Queue(DEFAULT_TENANT, JobType(node.type), partition_of(policy, key, int.from_bytes(digest[:4])))
            nodes.append(
                FlowNode(
                    planned=node,
                    queue=queue,
                    first_job_id=derived_job_id(queue, self._clock.now_ms, digest),
                    wants_result=place in wanted,
                    children=[at for at, other in enumerate(planned.nodes) if place in other.parents],
                )
            )
        return Flow(
            id=workflow_id,
            name=submission.name,
            plan=planned,
            nodes=nodes,
            on_failure=submission.on_failure,
            retention_s=submission.retention_s,
            created_ms=self._clock.now_ms,
        )

    def _found(self, workflow_id: str) -> Flow:
        flow = self._flows.find(workflow_id)
        if flow is None:
            raise RefusedError(404, "workflow-not-found", f"there is no workflow `{workflow_id[:64]}`")
        return flow


def _accepted(flow: Flow) -> WorkflowAccepted:
    jobs = {node.planned.name: node.first_job_id for node in flow.nodes if not node.planned.is_map}
    return WorkflowAccepted(id=flow.id, state=flow.state, counts=flow.counts(), nodes=jobs)


def _places(flow: Flow, names: Iterable[str]) -> list[int]:
    places = {node.planned.name: place for place, node in enumerate(flow.nodes)}
    faults = [
        FieldError(f"/from/{at}", f"there is no node `{name}`{did_you_mean(name, places)}")
        for at, name in enumerate(names)
        if name not in places
    ]
    if faults:
        raise RefusedError(422, "invalid-request", "a node is not known", faults)
    return [places[name] for name in dict.fromkeys(names)]


def _holding(flow: Flow, node: FlowNode) -> list[str]:
    """Return the nodes that keep one from starting, the dead ones first."""
    if node.state is not NodeState.WAITING:
        return []
    parents = [flow.nodes[parent] for parent in node.planned.parents if parent not in node.done]
    return [one.planned.name for one in sorted(parents, key=lambda one: one.state is not NodeState.DEAD)]


def _shown_node(flow: Flow, node: FlowNode, *, with_inputs: bool) -> WorkflowNode:
    items = None
    if node.planned.is_map:
        states = list(node.items.values())
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        items = NodeItems(total=node.total, counts=counts)
    return WorkflowNode(
        name=node.planned.name,
        type=node.queue.type,
        state=node.state,
        after=[flow.nodes[parent].planned.name for parent in node.planned.parents],
        waits_for=_holding(flow, node),
        job=node.job_id if node.has_job else None,
        reason=node.reason or None,
        optional=node.planned.optional,
        items=items,
        started_at=None if node.began_ms is None else moment(node.began_ms),
        finished_at=None if node.ended_ms is None else moment(node.ended_ms),
        inputs=_inputs(flow, node) if with_inputs else None,
    )


def _inputs(flow: Flow, node: FlowNode) -> list[NodeInput]:
    places = node.planned.inputs
    sizes = {place: len(flow.results[place]) for place in places if place in flow.results}
    return [NodeInput(node=flow.nodes[place].planned.name, result_bytes=sizes.get(place)) for place in places]
