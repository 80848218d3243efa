"""After each random step of dispatchers, workers and people a workflow agrees with its nodes, and these with jobs."""

from collections import Counter

from dispatcher.workflows.conftest import DEAD, QUEUES, Mill, T, node
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test
from streams.machine_on_redis import MachineOnRedis
from streams.seeds import commit, nonce

from millstream_contracts import JobId, NodeState, Queue, WorkflowId, queue_of
from millstream_streams import WORKFLOW_KIND, NewNode
from millstream_streams.workflows.rerun import Graph, read_graph

MAX_NODES = 5
ENDED = {NodeState.SUCCEEDED, NodeState.DEAD, NodeState.CANCELLED, NodeState.EXPIRED}

policies = st.sampled_from(["wait", "cancel", "run"])
pick = st.integers(0, 99)
"""The index of a queue or of a node, modulo their number."""


@st.composite
def graphs(draw: st.DrawFn) -> list[NewNode]:
    """Draw a few nodes, each behind some of those before it."""
    nodes: list[NewNode] = []
    for place in range(draw(st.integers(1, MAX_NODES))):
        parents = sorted(draw(st.sets(st.integers(0, place - 1), max_size=3))) if place else []
        optional = draw(st.booleans())
        nodes.append(node(f"n{place}", parents, at=place, after_failure=draw(policies), optional=optional))
    return nodes


class Steps(MachineOnRedis):
    """One workflow, with dispatchers that die at any step, workers, and people."""

    def __init__(self) -> None:
        super().__init__()
        self.mill = Mill(self.broker)
        self.workflow = WorkflowId("")
        self.runs: Counter[tuple[JobId, int]] = Counter()
        """How often each delivery of each job was handed out."""
        self.reruns = 0

    @initialize(nodes=graphs(), cancels=st.booleans())
    def submit(self, nodes: list[NewNode], cancels: bool) -> None:
        """Submit a workflow."""
        self.workflow = self.do(self.mill.create(nodes, on_failure="cancel" if cancels else "wait"))

    @rule(dies=st.booleans())
    def start(self, dies: bool) -> None:
        """Store the jobs of nodes that are ready; a dispatcher that dies does not confirm them."""
        starter = self.mill.unconfirmed_starter() if dies else self.mill.starter()
        self.do(starter.run_once())

    @rule(at=pick, fails=st.booleans())
    def run(self, at: int, fails: bool) -> None:
        """Run all jobs of one queue that are ready."""
        self.do(self._run(QUEUES[at % len(QUEUES)], fails=fails))

    @rule(at=pick)
    def lose_news(self, at: int) -> None:
        """Take the news of a queue, and die before any workflow is told."""
        self.do(self.mill.broker.dependencies.take_news(QUEUES[at % len(QUEUES)]))

    @rule()
    def tell(self) -> None:
        """Tell the workflow what became of its jobs."""
        self.do(self.mill.messenger().run_once())

    @rule()
    def end_leases(self) -> None:
        """Let all leases end."""
        self.do(self.mill.free_leases())

    @rule()
    def audit(self) -> None:
        """Look for what was lost. One that has ended would be forgotten."""
        if self.do(self.mill.state(self.workflow)).is_terminal:
            return
        self.do(self.mill.make_checked(self.workflow))
        self.do(self.mill.auditor().run_once())

    @rule()
    def cancel(self) -> None:
        """Cancel the workflow."""
        self.do(self.mill.broker.workflows.cancel(T, self.workflow))

    @rule()
    def rerun(self) -> None:
        """Run what has failed again."""
        self.reruns += 1
        self.do(self.mill.broker.workflows.rerun(T, self.workflow, None, request=str(self.reruns).encode()))

    @rule(at=pick, is_discarded=st.booleans())
    def decide(self, at: int, is_discarded: bool) -> None:
        """Redrive or discard the job of a node, which succeeds if it is dead."""
        nodes = self.do(self.mill.nodes(self.workflow))
        job_id = nodes[at % len(nodes)].job_id
        queue = queue_of(T, job_id) if job_id else None
        if queue is not None:
            store = self.mill.broker.store
            self.do((store.discard if is_discarded else store.redrive)(queue, [job_id]))

    @invariant()
    def the_workflow_agrees_with_its_nodes(self) -> None:
        """Compare counts with the nodes, and the edges that count as open with those that have no mark."""
        if not self.workflow:
            return
        self.do(self.mill.state(self.workflow))
        graph, live = self.do(self._graph())
        for place, one in enumerate(graph.nodes):
            undone = sum(
                child == place and not graph.is_done(parent.first_edge + at)
                for parent in graph.nodes
                for at, child in enumerate(parent.children)
            )
            if one.state is NodeState.WAITING:
                assert undone > 0, f"node {place} waits for nothing"
            counted = live.get(b"n%d" % place)
            if counted is not None and undone:
                assert int(counted) == undone, f"node {place} counts {counted!r} edges, {undone} are open"

    async def at_the_end(self) -> None:
        """Let everything go on, and see that nothing waits for ever."""
        if self.workflow:
            await self._come_to_rest()

    async def _run(self, queue: Queue, *, fails: bool) -> None:
        claim = await self.mill.broker.store.claim(queue, consumer="w1", nonce=nonce(), limit=10)
        for one in claim.deliveries:
            self.runs[one.id, one.deliveries] += 1
            assert self.runs[one.id, one.deliveries] == 1, f"{one.id} runs twice"
            await commit(self.mill.broker, one, DEAD if fails else None)

    async def _graph(self) -> tuple[Graph, dict[bytes, bytes]]:
        shard = WORKFLOW_KIND.shard_of(T, self.workflow)
        assert shard is not None
        key, client = self.mill.broker.keys.of_workflows(shard).part, self.mill.broker.client
        live = await client.hgetall(key(self.workflow, "live"))
        parts = [await client.hgetall(key(self.workflow, part)) for part in ("graph", "nodes")]
        edges = await client.get(key(self.workflow, "edges"))
        return read_graph(parts[0], live, parts[1], edges), live

    async def _come_to_rest(self) -> None:
        for _ in range(3 * MAX_NODES):
            await self.mill.free_leases()
            await self.mill.turn()
            for queue in QUEUES:
                await self._run(queue, fails=False)
        state = await self.mill.state(self.workflow)
        assert state.is_settled, state
        for one in await self.mill.nodes(self.workflow):
            job = await self.mill.broker.views.job(one.queue, one.job_id) if one.job_id else None
            if job is not None and job.state.is_settled:
                assert one.state.value == job.state.value, f"{one.name} is {one.state}, and its job {job.state}"


def test_no_order_of_steps_leaves_a_workflow_wrong(redis_url: str, examples: int) -> None:
    """Counts and edges agree after each step, no job runs twice, and a workflow comes to rest as its jobs have."""
    machine = type("StepsHere", (Steps,), {"redis_url": redis_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=20))
