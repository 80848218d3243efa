"""Workflows for the tests of their duties, with dispatchers and a worker that do what they are told."""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from intakes import intake_of
from streams.seeds import ERROR, commit, take
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import (
    DEFAULT_TENANT,
    AfterFailure,
    Dead,
    JobId,
    JobType,
    NodeState,
    OnFailure,
    Outcome,
    Queue,
    Submission,
    Succeeded,
    WorkflowId,
    WorkflowState,
    new_job_id,
)
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.flow_rounds import Confirmed
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_dispatcher.messenger import Messenger
from millstream_dispatcher.workflows.auditor import WorkflowAuditor
from millstream_dispatcher.workflows.closer import WorkflowCloser
from millstream_dispatcher.workflows.starter import WorkflowStarter
from millstream_streams import (
    START_WITHIN_S,
    WORKFLOW_KIND,
    Broker,
    CreateCode,
    Delivery,
    Idempotency,
    NewNode,
    NewWorkflow,
    StoredNode,
    StoredWorkflow,
    open_broker,
    read_value,
)
from millstream_streams.store.keys import FlowKeys
from millstream_streams.workflows.layout import fields_of_new, parts_of, roots_of
from millstream_submission import KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import DispatcherMetrics, JobTracer, MetricRegistry, WorkflowMetrics
from millstream_workflows.blueprints import Blueprint, encode

T = DEFAULT_TENANT
QUEUES = [Queue(T, JobType(name)) for name in ("cut", "sew", "iron")]
"""The queues of nodes, in turn."""


def node(
    name: str,
    parents: Sequence[int] = (),
    *,
    at: int = 0,
    inputs: Sequence[int] = (),
    after_failure: AfterFailure = "wait",
    optional: bool = False,
    payload: object = None,
    delay_s: float | None = None,
    over: str = "",
    max_failures: int = 0,
) -> NewNode:
    """Return a node of a graph; its payload is its name, unless another one is given.

    `over` is a node to whose result its `map` refers.
    """
    queue = QUEUES[at % len(QUEUES)]
    return NewNode(
        name=name,
        queue=queue,
        job_id=new_job_id(queue),
        blueprint=_blueprint(queue, name if payload is None else payload, delay_s, over=over, is_template=bool(inputs)),
        parents=tuple(parents),
        inputs=tuple(inputs),
        after_failure=after_failure,
        optional=optional,
        is_map=bool(over),
        max_failures=max_failures,
    )


def _blueprint(queue: Queue, payload: object, delay_s: float | None, *, over: str, is_template: bool) -> bytes:
    submission = Submission(type=queue.type, payload=msgspec.Raw(encode(payload)), delay_s=delay_s)
    return encode(Blueprint(encode(submission), is_template, encode({"$result": over}) if over else b""))


class Mill:
    """Workflows, dispatchers, and a worker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.registry = MetricRegistry()
        self.metrics = WorkflowMetrics(self.registry)
        self.tracer = JobTracer(None)
        self.closer = WorkflowCloser(broker, self.tracer)
        self.payloads: dict[str, Any] = {}
        """The payload of each job that was taken, by its name."""
        self.ids: dict[str, JobId] = {}
        self.shown = DispatcherMetrics(MetricRegistry())

    def starter(self) -> WorkflowStarter:
        """Return a dispatcher's duty that starts nodes."""
        broker = self.broker
        catalogue = TypeCatalogue(broker.registry, self.registry)
        submitter = SystemSubmitter(
            broker.store,
            KnownQueues(broker.registry),
            intake_of(broker, catalogue),
            self.tracer,
            clock=broker.clock.now_s,
        )
        return WorkflowStarter(broker, submitter, self.closer, self.metrics, interval_s=5.0)

    def messenger(self) -> Messenger:
        """Return a dispatcher's duty that tells workflows; it looks at every queue in each pass."""
        schedule = CheckSchedule(self.broker.registry, 0.0)
        return Messenger(
            self.broker.dependencies, FlowTeller(self.broker, self.closer), schedule, self.shown, interval_s=0.0
        )

    def auditor(self, *, awaited_s: float = 0.0) -> WorkflowAuditor:
        """Return a dispatcher's duty that looks at still workflows."""
        return WorkflowAuditor(self.broker, self.metrics, interval_s=0.0, awaited_s=awaited_s)

    def new(
        self,
        nodes: Sequence[NewNode],
        *,
        on_failure: OnFailure = "wait",
        result_inputs: Sequence[int] = (),
        key: str = "",
        fingerprint: str = "f00d",
    ) -> NewWorkflow:
        """Return a workflow that is not stored."""
        digest = key.encode().rjust(16, b"-")
        return NewWorkflow(
            id=self.broker.workflows.id_of(T, digest) if key else self.broker.workflows.new_id(T),
            name="album",
            nodes=tuple(nodes),
            created_at_ms=1,
            retention_ms=3_600_000,
            on_failure=on_failure,
            result_inputs=tuple(result_inputs),
            idempotency=Idempotency(digest, fingerprint) if key else None,
        )

    async def create(self, nodes: Sequence[NewNode], **options: object) -> WorkflowId:
        """Store a workflow that runs."""
        new = self.new(nodes, **options)  # type: ignore[arg-type]
        created = await self.broker.workflows.create(T, new)
        assert created.code is CreateCode.STORED
        return created.id

    async def read(self, workflow_id: WorkflowId) -> StoredWorkflow:
        """Return a workflow, which must be there."""
        return (await self.broker.workflows.read(T, [workflow_id]))[workflow_id]

    async def state(self, workflow_id: WorkflowId) -> WorkflowState:
        """Return the state of a workflow, whose counts must be those of its nodes."""
        found = await self.read(workflow_id)
        states = [one.state for one in await self.nodes(workflow_id)]
        assert found.counts == {state: states.count(state) for state in states}
        return found.state

    async def nodes(self, workflow_id: WorkflowId) -> list[StoredNode]:
        """Return the nodes of a workflow."""
        nodes, following = await self.broker.workflows.nodes(T, workflow_id, limit=10_000)
        assert following is None
        return nodes

    async def states(self, workflow_id: WorkflowId) -> dict[str, NodeState]:
        """Return the state of each node by its name."""
        return {one.name: one.state for one in await self.nodes(workflow_id)}

    async def turn(self) -> None:
        """Have a dispatcher do what there is to be done, until nothing changes."""
        starter, messenger = self.starter(), self.messenger()
        while True:
            done = (await messenger.run_once()).told + (await starter.run_once()).stored
            if not done:
                return

    async def claim(self) -> dict[str, Delivery]:
        """Take all jobs that are ready, by their payloads."""
        found = {}
        for queue in QUEUES:
            for one in await take(self.broker, queue, limit=1000):
                payload = read_value(one.spec.payload)
                name = payload if isinstance(payload, str) else payload["name"]
                found[name] = one
                self.payloads[name], self.ids[name] = payload, one.id
        return found

    async def work(self, outcomes: Mapping[str, Outcome] | None = None) -> list[str]:
        """Run all that becomes ready until there is nothing more; return the payloads in that order."""
        ran: list[str] = []
        while True:
            await self.turn()
            taken = await self.claim()
            if not taken:
                return ran
            for name, one in taken.items():
                ran.append(name)
                await commit(self.broker, one, (outcomes or {}).get(name, Succeeded(msgspec.msgpack.encode(name))))

    @staticmethod
    def payload(delivery: Delivery) -> Any:
        """Return the payload of a job."""
        return msgspec.msgpack.decode(delivery.spec.payload)

    def unconfirmed_starter(self, *, after: int = 0) -> WorkflowStarter:
        """Return a dispatcher's duty that dies before it confirms what it has stored after this many rounds."""
        starter = self.starter()
        store = starter._carry_out
        left = iter(range(after))

        async def forgetful(*arguments: Any) -> Any:
            done = await store(*arguments)
            return done if next(left, None) is not None else ([], None)

        starter._carry_out = forgetful  # type: ignore[method-assign]
        return starter

    async def store_items(self, shard: Queue) -> tuple[int, Confirmed]:
        """Start the jobs of a round of items, as a dispatcher that has it under its lease.

        Returns: the first of these items, and what the dispatcher confirms next.
        """
        [task] = (await self.broker.workflows.take_starts(shard, 1)).tasks
        done, failure = await self.starter()._carry_out(shard.tenant, [task], time.monotonic() + START_WITHIN_S)
        assert failure is None
        return task.next_item, done

    async def make_checked(self, workflow_id: WorkflowId) -> None:
        """Have the auditor look at a workflow in its next pass, as if the time had come."""
        await self.broker.client.zadd(self._keys(workflow_id).checks, {workflow_id: 0}, xx=True)

    async def store_first_part(self, new: NewWorkflow) -> None:
        """Store the first nodes of a workflow, as a submitter that dies in the middle does."""
        first = next(iter(parts_of(new)))
        fingerprint = new.idempotency.fingerprint if new.idempotency else ""
        shard = WORKFLOW_KIND.shard_of(T, new.id)
        assert shard is not None
        await self.broker.client.sadd(self.broker.keys.workflows, shard.tag)
        head = [new.id, fingerprint, 1000, len(new.nodes), 0, fields_of_new(new), roots_of(new)]
        assert await self.broker.workflows._shards.run("create", shard, [*head, *first.rows]) == 0

    async def keys_of(self, workflow_id: WorkflowId) -> list[bytes]:
        """Return the keys that are there of a workflow, but for its fingerprint."""
        keys = self._keys(workflow_id)
        return [key async for key in self.broker.client.scan_iter(match=f"{keys.prefix}{workflow_id}*", count=1000)]

    async def pass_a_millisecond(self) -> None:
        """Return once the clock of Redis shows another time than now."""
        begun = await self.broker.now()

        async def has_moved() -> bool:
            return await self.broker.now() > begun

        await wait_until(has_moved, "the clock of Redis has moved on")

    def _keys(self, workflow_id: WorkflowId) -> FlowKeys:
        shard = WORKFLOW_KIND.shard_of(T, workflow_id)
        assert shard is not None
        return self.broker.keys.of_workflows(shard)

    async def work_all(self) -> int:
        """Run all that becomes ready, also jobs with the same name; return how many ran."""
        ran = 0
        while True:
            await self.turn()
            taken = [one for queue in QUEUES for one in await take(self.broker, queue, limit=1000)]
            if not taken:
                return ran
            for one in taken:
                await commit(self.broker, one)
            ran += len(taken)

    async def work_until_started(self, outcomes: Mapping[str, Outcome]) -> None:
        """Run the nodes that are ready, and tell of them, so that the next ones are to be started."""
        await self.starter().run_once()
        for name, one in (await self.claim()).items():
            await commit(self.broker, one, outcomes[name])
        await self.messenger().run_once()

    async def forget(self, deliveries: Iterable[Delivery]) -> None:
        """Have Redis lose jobs."""
        for one in deliveries:
            await self.broker.client.delete(self.broker.keys.of(one.queue).job(one.id))

    async def free_leases(self) -> None:
        """Take away the leases of all nodes and news, as if their time was over."""
        keys = [self.broker.keys.of(queue).outbox for queue in QUEUES]
        keys += [self.broker.keys.of_workflows(one).outbox for one in await self.broker.workflows.shards()]
        for key in keys:
            for member in await self.broker.client.zrange(key, 0, -1):
                await self.broker.client.zadd(key, {member: 0})


DEAD = Dead("attempts", ERROR)


@pytest.fixture
def mill(broker: Broker) -> Mill:
    """Return a mill without a workflow."""
    return Mill(broker)


@pytest.fixture
async def roomy(own_redis: EmbeddedRedis) -> AsyncIterator[Mill]:
    """Yield a mill on a server that this test may fill."""
    async with open_broker(own_redis.url, patience_s=0.0) as opened:
        yield Mill(opened)
