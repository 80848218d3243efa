"""After each random step of submitters, dispatchers, workers and people a batch agrees with its members."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from dispatcher.batches.conftest import CALLBACKS, COMPLETE, DEAD, DEATH, QUEUES, ROWS, SHEETS, SUCCESS, Depot, T
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test
from streams.machine_on_redis import MachineOnRedis
from streams.seeds import commit, take

from millstream_contracts import BatchId, BatchState, JobId, MemberState, Queue, ids_by_queue
from millstream_streams import ActionCode, Delivery, NewJob, PromiseCode

MOST_AT_ONCE = 3
LIVES = 6
"""How often all that is there is run at the end: each time a member may be there that another one has added."""

pick = st.integers(0, 99)
"""The index of a queue or of a job, modulo their number."""


class Steps(MachineOnRedis):
    """One batch, with submitters and dispatchers that die at any step, workers, and people."""

    def __init__(self) -> None:
        super().__init__()
        self.depot = Depot(self.broker)
        self.batch = BatchId("")
        self.promised: list[NewJob] = []
        """The jobs that a submitter may still store."""
        self.stored: list[JobId] = []
        """The jobs of which the batch is to be told that they are stored."""
        self.held: list[Delivery] = []
        """The members that run."""
        self.members: set[JobId] = set()
        self.runs: Counter[tuple[JobId, int]] = Counter()
        """How often each delivery of each job was handed out."""
        self.called: Counter[str] = Counter()
        """How often each callback has run."""
        self.deaths = 0
        self.is_cancelled = False

    @initialize(members=st.integers(0, MOST_AT_ONCE))
    def submit(self, members: int) -> None:
        """Submit a batch with all callbacks that takes members."""
        self.batch = self.do(self.depot.create((SUCCESS, COMPLETE, DEATH)))
        self.members |= set(self.do(self.depot.add(self.batch, members))) if members else set()

    @rule(count=st.integers(1, MOST_AT_ONCE), by=st.none() | pick)
    def promise(self, count: int, by: int | None) -> None:
        """Promise members, for a client or for a member that runs."""
        jobs = self.depot.jobs(self.batch, count)
        adder = self.held[by % len(self.held)].id if by is not None and self.held else None
        if self.do(self.depot.promise(self.batch, jobs, by=adder)) is PromiseCode.DONE:
            self.promised += jobs

    @rule(count=st.integers(1, MOST_AT_ONCE))
    def store(self, count: int) -> None:
        """Store jobs that were promised, and do not say so yet."""
        jobs, self.promised = self.promised[:count], self.promised[count:]
        self.do(self.depot.store(jobs))
        self.stored += [job.id for job in jobs]
        self.members |= {job.id for job in jobs}

    @rule(dies=st.booleans())
    def confirm(self, dies: bool) -> None:
        """Tell the batch which jobs are stored; a submitter that dies does not."""
        if not dies and self.stored:
            self.do(self.depot.broker.batches.confirm(T, self.batch, stored=self.stored))
        self.stored = []

    @rule()
    def let_promises_run_out(self) -> None:
        """Let the time of all promises end, and look what became of them."""
        self.promised, self.stored = [], []
        self.do(self.depot.let_promises_run_out(self.batch))
        self.do(self._audit())

    @rule(at=pick)
    def hold(self, at: int) -> None:
        """Have a worker begin with a member."""
        self.held += self.do(self._claim((ROWS, SHEETS)[at % 2], limit=1))

    @rule(fails=st.booleans())
    def finish(self, fails: bool) -> None:
        """End the members that run."""
        held, self.held = self.held, []
        self.do(self._end(held, fails=fails))

    @rule(at=pick, fails=st.booleans())
    def run(self, at: int, fails: bool) -> None:
        """Run all members of one queue that are ready."""
        self.do(self._run((ROWS, SHEETS)[at % 2], fails=fails))

    @rule()
    def run_callbacks(self) -> None:
        """Run the callbacks that are ready."""
        self.do(self._run(CALLBACKS, fails=False))

    @rule(at=pick)
    def lose_news(self, at: int) -> None:
        """Take the news of a queue, and die before the batch is told."""
        self.do(self.depot.broker.dependencies.take_news(QUEUES[at % len(QUEUES)]))

    @rule()
    def tell(self) -> None:
        """Tell the batch what became of its jobs."""
        self.do(self.depot.messenger().run_once())

    @rule(dies=st.booleans())
    def start(self, dies: bool) -> None:
        """Store the jobs of callbacks, and end those of a cancelled batch; a dispatcher that dies confirms nothing."""
        starter = self.depot.unconfirmed_starter() if dies else self.depot.starter()
        self.do(starter.run_once())

    @rule()
    def end_leases(self) -> None:
        """Let all leases end."""
        self.do(self.depot.free_leases())

    @rule()
    def audit(self) -> None:
        """Look for what was lost. One that has ended would be forgotten."""
        if not self._read().state.is_terminal:
            self.do(self.depot.make_still(self.batch))
            self.do(self._audit())

    @rule()
    def close(self) -> None:
        """Close the batch."""
        self.do(self.depot.broker.batches.close(T, self.batch))

    @rule()
    def cancel(self) -> None:
        """Cancel the batch."""
        code = self.do(self.depot.broker.batches.cancel(T, self.batch))
        self.is_cancelled |= code is ActionCode.REQUESTED

    @rule(at=pick, is_discarded=st.booleans())
    def decide(self, at: int, is_discarded: bool) -> None:
        """Redrive or discard a member, which succeeds if it is dead."""
        if self.members:
            store = self.depot.broker.store
            chosen = sorted(self.members)[at % len(self.members)]
            for queue, ids in ids_by_queue(T, [chosen]).items():
                self.do((store.discard if is_discarded else store.redrive)(queue, ids))

    @invariant()
    def the_batch_agrees_with_its_members(self) -> None:
        """Compare counts with the members, and what has happened with what may have."""
        if not self.batch:
            return
        found = self._read()
        assert all(count == 1 for count in self.called.values()), f"callbacks ran {self.called}"
        assert set(self.called) <= {event.value for event in found.fired}, "a callback ran before its event"
        if SUCCESS in found.fired:
            assert found.state is BatchState.SUCCEEDED, f"on_success of a batch that is {found.state}"
        if COMPLETE in found.fired:
            assert found.state is not BatchState.OPEN, "on_complete of a batch that is open"
        assert self.deaths or DEATH not in found.fired, "on_death, and no member has died"

    async def at_the_end(self) -> None:
        """Let everything go on, and see that nothing waits for ever."""
        if self.batch:
            await self._come_to_rest()

    def _read(self) -> Any:
        return self.do(self.depot.read(self.batch))

    async def _audit(self) -> None:
        await self.depot.auditor().run_once()

    async def _claim(self, queue: Queue, *, limit: int = 10) -> list[Delivery]:
        claimed = await take(self.depot.broker, queue, limit=limit)
        for one in claimed:
            self.runs[one.id, one.deliveries] += 1
            assert self.runs[one.id, one.deliveries] == 1, f"{one.id} runs twice"
        return claimed

    async def _run(self, queue: Queue, *, fails: bool) -> None:
        await self._end(await self._claim(queue), fails=fails)

    async def _end(self, taken: Sequence[Delivery], *, fails: bool) -> None:
        for one in taken:
            if one.queue == CALLBACKS:
                self.called[msgspec.msgpack.decode(one.spec.payload)] += 1
            await commit(self.depot.broker, one, DEAD if fails else None)
            self.deaths += fails

    async def _come_to_rest(self) -> None:
        await self._end(self.held, fails=False)
        await self.depot.let_promises_run_out(self.batch)
        await self._audit()
        await self.depot.broker.batches.close(T, self.batch)
        for _ in range(LIVES):
            await self.depot.free_leases()
            await self.depot.turn()
            for queue in QUEUES:
                await self._run(queue, fails=False)
        found = await self.depot.read(self.batch)
        assert found.state.is_terminal or found.state is BatchState.STALLED, found.state
        await self._agrees_with_its_jobs()
        expected = {COMPLETE.value}
        if found.state is BatchState.SUCCEEDED:
            expected.add(SUCCESS.value)
        assert expected <= set(self.called), f"{found.state}, and only {set(self.called)} ran"
        if found.counts.get(MemberState.DEAD):
            assert DEATH.value in self.called
        assert found.state is not BatchState.CANCELLED or self.is_cancelled

    async def _agrees_with_its_jobs(self) -> None:
        members, _ = await self.depot.broker.batches.members(T, self.batch, limit=100_000)
        assert {one.job_id for one in members} == self.members, "members and stored jobs differ"
        states = {one.job_id: one.state for one in members}
        for queue, ids in ids_by_queue(T, list(states)).items():
            for job_id in ids:
                job = await self.depot.broker.views.job(queue, job_id)
                assert job is not None
                assert states[job_id].value == job.state.value, f"{job_id} is {states[job_id]}, its job {job.state}"


def test_no_order_of_steps_leaves_a_batch_wrong(redis_url: str, examples: int) -> None:
    """Counts agree after each step, no job and no callback runs twice, and a batch comes to rest as its jobs have."""
    machine = type("StepsHere", (Steps,), {"redis_url": redis_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=20))
