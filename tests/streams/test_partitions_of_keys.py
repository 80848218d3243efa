"""All jobs of a key lie in one partition, whatever submits them, so that the limits of the key are exact (ADR 95)."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from dispatcher.schedules.conftest import Town
from dispatcher.workflows.conftest import DEAD, Mill
from intakes import intake_of
from streams.seeds import commit, take

from millstream_contracts import (
    DEFAULT_TENANT,
    JobId,
    JobType,
    NodeState,
    Outcome,
    Queue,
    Submission,
    Succeeded,
    TypePolicy,
    TypeRegistration,
    UniqueRule,
    WorkflowId,
    WorkflowState,
    queue_of,
)
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.workflows.checked_workflow import WorkflowChecker
from millstream_ingest.workflows.new_workflows import new_workflow
from millstream_streams import ActionCode, Broker, Delivery
from millstream_submission import KnownQueues, SystemSubmitter
from millstream_telemetry import NO_TRACE, JobTracer

T = DEFAULT_TENANT
TYPE = JobType("invoice.send")
PARTITIONS = 4
CUSTOMERS = [f"c{number}" for number in range(8)]

encode = msgspec.msgpack.encode
KEYED = TypePolicy(partitions=PARTITIONS, key="customer")
UNIQUE = TypePolicy(partitions=PARTITIONS, unique=UniqueRule(fields=("customer",), on_conflict="reject"))


class Office:
    """A type with several partitions, and all that submits its jobs."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.town, self.mill = Town(broker), Mill(broker)

    async def register(self, policy: TypePolicy = KEYED) -> None:
        """Have a worker register the type."""
        await self.broker.registry.add_types(T, [TypeRegistration(type=TYPE, policy=policy)])

    async def submit(self, customer: str) -> JobId:
        """Submit a job as a client does."""
        broker = self.broker
        submitter = SystemSubmitter(
            broker.store, KnownQueues(broker.registry), intake_of(broker), JobTracer(None), clock=broker.clock.now_s
        )
        content = encode(Submission(type=TYPE, payload=msgspec.Raw(encode({"customer": customer}))))
        built = await submitter.build(T, content, None, caller=NO_TRACE)
        (stored,) = await submitter.store([built])
        return stored.id

    async def run(self, nodes: Mapping[str, Any]) -> WorkflowId:
        """Submit a workflow as the API does."""
        checker = WorkflowChecker(intake_of(self.broker), clock=self.broker.clock.now_s)
        checked = await checker.check(T, json.dumps({"name": "w", "nodes": nodes}).encode(), Encoding.JSON)
        workflow_id = self.broker.workflows.new_id(T)
        now_ms = self.broker.clock.now_ms()
        new = new_workflow(T, workflow_id, checked, now_ms=now_ms, trace="", idempotency=None)
        return (await self.broker.workflows.create(T, new)).id

    async def claim(self, job_type: str = TYPE) -> list[Delivery]:
        """Take all jobs of a type that are ready."""
        queues = [queue for queue in await self.broker.registry.queues() if queue.type == job_type]
        return [one for queue in queues for one in await take(self.broker, queue, limit=1000)]

    async def answer(self, value: object, job_type: str = "customers.list") -> None:
        """Have the job of a node succeed with a result, and its workflow go on."""
        await self.mill.turn()
        (one,) = await self.claim(job_type)
        await commit(self.broker, one, Succeeded(encode(value)))
        await self.mill.turn()

    async def end(self, outcome: Outcome | None = None) -> list[Delivery]:
        """Run all jobs of the type that are ready, to this end; return them."""
        taken = await self.claim()
        for one in taken:
            await commit(self.broker, one, outcome or Succeeded())
        await self.mill.turn()
        return taken


@pytest.fixture
async def office(broker: Broker) -> Office:
    """Return an office whose type has a key."""
    made = Office(broker)
    await made.register()
    return made


def partition_of(job_id: str) -> int:
    """Return the partition of a job."""
    queue = queue_of(T, job_id)
    assert isinstance(queue, Queue)
    return queue.partition


async def by_submission(office: Office) -> dict[str, int]:
    """Submit a job of each customer, and one more; return the partitions, which are one a customer."""
    found = {customer: {partition_of(await office.submit(customer)) for _ in range(2)} for customer in CUSTOMERS}
    assert all(len(one) == 1 for one in found.values())
    partitions = {customer: one.pop() for customer, one in found.items()}
    assert len(set(partitions.values())) > 1, "these customers show nothing"
    await office.end()
    return partitions


def partitions_in(taken: list[Delivery]) -> dict[str, int]:
    """Return the partition of the job of each customer."""
    return {Mill.payload(one)["customer"]: one.queue.partition for one in taken}


async def test_the_job_of_a_schedule_lies_where_its_key_does(office: Office) -> None:
    """An occasion starts its job in the partition of the key that stands in the payload, or of one that is given."""
    known = await by_submission(office)
    for at, customer in enumerate(CUSTOMERS):
        payload = {"customer": customer} if at % 2 else {"customer": "another"}
        job = Submission(type=TYPE, payload=msgspec.Raw(encode(payload)), key=None if at % 2 else customer)
        await office.town.put(customer, job=job)
    await office.town.scheduler().run_once()
    await office.town.starter().run_once()
    jobs = {one: (await office.town.read(one)).jobs for one in CUSTOMERS}
    assert {customer: partition_of(ids[0]) for customer, ids in jobs.items()} == known
    assert len(await office.claim()) == len(CUSTOMERS)


async def test_a_job_of_a_schedule_without_a_key_lies_anywhere(office: Office) -> None:
    """Where no key chooses, occasions are spread over the partitions as before."""
    names = [f"s{number}" for number in range(20)]
    for name in names:
        await office.town.put(name, job=Submission(type=TYPE, payload=msgspec.Raw(encode({}))))
    await office.town.scheduler().run_once()
    assert {partition_of((await office.town.read(one)).jobs[0]) for one in names} == set(range(PARTITIONS))


LIST = {"type": "customers.list", "payload": {}}


async def of_result(office: Office) -> dict[str, int]:
    """Run a node for each customer, whose payload is made of a result."""
    nodes = {
        customer: {"type": TYPE, "payload": {"customer": {"$result": "list", "path": f"/{at}"}}}
        for at, customer in enumerate(CUSTOMERS)
    }
    await office.run({"list": LIST, **nodes})
    await office.answer(CUSTOMERS)
    return partitions_in(await office.end())


async def of_map(office: Office) -> dict[str, int]:
    """Run a node with a job for each customer of a result."""
    each = {"type": TYPE, "map": {"$result": "list"}, "payload": {"customer": {"$item": ""}}}
    await office.run({"list": LIST, "each": each})
    await office.answer(CUSTOMERS)
    return partitions_in(await office.end())


async def of_nodes(office: Office) -> dict[str, int]:
    """Run a node for each customer, whose payload is there from the start."""
    await office.run({customer: {"type": TYPE, "payload": {"customer": customer}} for customer in CUSTOMERS})
    await office.mill.turn()
    return partitions_in(await office.end())


@pytest.mark.parametrize("by", [of_result, of_map, of_nodes])
async def test_the_job_of_a_node_lies_where_its_key_does(office: Office, by: Callable[[Office], Any]) -> None:
    """Jobs of nodes and of items lie in the partition of their key, although their ids are decided on before it."""
    known = await by_submission(office)
    assert await by(office) == known


async def test_a_unique_key_made_of_a_result_is_no_refusal(office: Office) -> None:
    """A node whose unique key is made of a result has its job where others of that key are, which keep it out."""
    await office.register(UNIQUE)
    nodes = {
        customer: {"type": TYPE, "payload": {"customer": {"$result": "list", "path": f"/{at}"}}}
        for at, customer in enumerate(CUSTOMERS)
    }
    held = CUSTOMERS[0]
    holder = await office.submit(held)
    workflow = await office.run({"list": LIST, **nodes})
    await office.answer(CUSTOMERS)
    states = await office.mill.states(workflow)
    assert {name for name, state in states.items() if state is NodeState.DEAD} == {held}
    assert {one.id for one in await office.claim()} > {holder}


async def test_a_node_that_is_placed_late_is_known_by_its_job(office: Office) -> None:
    """The job of a node that is placed late is shown, discarded with a rerun, and looked at by the auditor."""
    each = {"type": TYPE, "map": {"$result": "list"}, "payload": {"customer": {"$item": ""}}}
    one = {"type": TYPE, "payload": {"customer": {"$result": "list", "path": "/3"}}}
    workflow = await office.run({"list": LIST, "each": each, "one": one})
    await office.answer(CUSTOMERS)
    dead = await office.end(DEAD)
    shown = (await office.mill.nodes(workflow))[2]
    assert shown.job_id in {delivery.id for delivery in dead}
    assert await office.mill.state(workflow) is WorkflowState.FAILED
    await office.broker.workflows.rerun(T, workflow, None, request=b"again")
    for delivery in dead:
        found = await office.broker.views.job(delivery.queue, delivery.id)
        assert found is not None
        assert found.state == "cancelled"
    await office.mill.turn()
    lost = await office.claim()
    assert {delivery.id for delivery in lost}.isdisjoint({delivery.id for delivery in dead})
    await office.mill.make_checked(workflow)
    await office.mill.auditor().run_once()
    await office.mill.turn()
    assert await office.claim() == []  # all of them are there
    await office.mill.forget(lost)
    await office.mill.make_checked(workflow)
    await office.mill.auditor().run_once()
    await office.mill.turn()
    assert sorted(delivery.id for delivery in await office.end()) == sorted(delivery.id for delivery in lost)
    assert await office.mill.state(workflow) is WorkflowState.SUCCEEDED


@pytest.mark.parametrize("is_map", [False, True])
async def test_a_partition_that_was_decided_on_holds(office: Office, is_map: bool) -> None:
    """A job that a dispatcher stored and did not confirm is one, also when the type has other partitions by then."""
    node: dict[str, Any] = {"type": TYPE, "payload": {"customer": {"$result": "list", "path": "/1"}}}
    if is_map:
        node = {"type": TYPE, "map": {"$result": "list"}, "payload": {"customer": {"$item": ""}}}
    workflow = await office.run({"list": LIST, "one": node})
    await office.mill.turn()
    (listing,) = await office.claim("customers.list")
    await commit(office.broker, listing, Succeeded(encode(CUSTOMERS)))
    await office.mill.messenger().run_once()
    mill = office.mill
    for shard in await office.broker.workflows.shards():
        starter = mill.starter()
        taken = await starter._take(shard, 10, [])
        if taken.tasks:
            placed, _ = await starter._carry_out(T, taken.tasks, float("inf"))
            again = await starter._take(shard, 10, placed)
            await starter._carry_out(T, again.tasks, float("inf"))  # and dies here

            moved = [(entry, _moved(outcome)) for entry, outcome in placed]
            await starter._take(shard, 0, moved)  # one that was slow, and knew another number of partitions
    first = {one.id for one in await office.claim()}
    await office.mill.free_leases()
    await office.mill.turn()
    assert await office.claim() == []
    assert len(first) == (len(CUSTOMERS) if is_map else 1)
    assert (await office.mill.states(workflow))["one"] is NodeState.STARTED


def _moved(outcome: str) -> str:
    """Return a decision for other partitions."""
    head, _, partitions = outcome.rpartition(" ")
    return f"{head} {','.join(str((int(one) + 1) % PARTITIONS) for one in partitions.split(','))}"


async def test_what_is_cancelled_before_and_after_it_was_placed_ends(office: Office) -> None:
    """A cancelled workflow ends the jobs of items and of nodes in whichever partitions they lie."""
    each = {"type": TYPE, "map": {"$result": "list"}, "payload": {"customer": {"$item": ""}}}
    one = {"type": TYPE, "payload": {"customer": {"$result": "list", "path": "/3"}}}
    workflow = await office.run({"list": LIST, "each": each, "one": one})
    await office.answer(CUSTOMERS)
    assert await office.broker.workflows.cancel(T, workflow) is ActionCode.REQUESTED
    await office.mill.starter().run_once()  # asks for the ends of its jobs
    await office.mill.turn()
    assert await office.claim() == []
    assert await office.mill.state(workflow) is WorkflowState.CANCELLED
    other = await office.run({"list": LIST, "each": each, "one": one})
    await office.mill.turn()
    (listing,) = await office.claim("customers.list")
    await commit(office.broker, listing, Succeeded(encode(CUSTOMERS)))
    await office.mill.messenger().run_once()
    assert await office.broker.workflows.cancel(T, other) is ActionCode.REQUESTED
    await office.mill.starter().run_once()  # asks for the ends of its jobs
    await office.mill.turn()
    assert await office.claim() == []
    assert await office.mill.state(other) is WorkflowState.CANCELLED
