"""After each random transition every job is in one place, and it is the place that a small model names."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from streams.machine import QUEUE, Ground
from streams.model import OUTCOMES
from streams.seeds import FAR_MS, lease, make_due, nonce

from millstream_contracts import AfterFailure, Calling, JobId, Outcome, Priority, StepCode
from millstream_streams import (
    ActionCode,
    CommitCode,
    Edge,
    EnqueueCode,
    Idempotency,
    LeaseCode,
    ResolveCode,
    SignalCode,
    Told,
)

MAX_CRASHES = 2
WORKERS = ("w1", "w2")

DECISIONS = ("cancel", "cancel", "redrive", "discard", "run_now", "set_priority", "enqueue_again")

any_worker = st.sampled_from(WORKERS)
any_kind = st.sampled_from(["held", "zombie", "any"])
pick = st.integers(0, 99)
"""The index of a job, delivery or entry, modulo their number."""


class Transitions(Ground):
    """One queue with two workers, a reaper, a dispatcher and an operator, which act in any order."""

    is_limited = False

    # Submitting.

    @initialize()
    def begin_with_some_jobs(self) -> None:
        """Store a job of each priority, one scheduled and one expired job."""
        for priority in Priority:
            self.store(priority, None, is_late=False)
        self.store(Priority.NORMAL, FAR_MS, is_late=False)
        self.store(Priority.NORMAL, None, is_late=True)

    @rule(
        priority=st.sampled_from(Priority),
        delay_ms=st.sampled_from([None, None, FAR_MS]),
        is_late=st.sampled_from([False, False, False, True]),
        key=st.sampled_from([None, None, b"k1", b"k2"]),
        fingerprint=st.sampled_from(["aa", "bb"]),
    )
    def enqueue(
        self, priority: Priority, delay_ms: int | None, is_late: bool, key: bytes | None, fingerprint: str
    ) -> None:
        """Store a new job, or repeat a known idempotency key."""
        self.store(priority, delay_ms, is_late=is_late, known=Idempotency(key, fingerprint) if key else None)

    # Waiting for each other.

    @rule(
        picks=st.lists(pick, min_size=1, max_size=3),
        after_failure=st.sampled_from(["wait", "cancel", "run"]),
        links=st.booleans(),
    )
    def wait_for(self, picks: list[int], after_failure: AfterFailure, links: bool) -> None:
        """Store a job that waits for others in any state, whose submitter may die before these know of it."""
        ids = list(self.model)
        job_id = self.block(list(dict.fromkeys(ids[at % len(ids)] for at in picks)), after_failure)
        if links:
            self.link(job_id)

    @precondition(lambda self: any(job.state == "blocked" for job in self.model.values()))
    @rule(at=pick)
    def link_again(self, at: int) -> None:
        """Link a blocked job, for the first time or again."""
        blocked = [job_id for job_id, job in self.model.items() if job.state == "blocked"]
        self.link(blocked[at % len(blocked)])

    @rule(limit=st.integers(1, 3), dies=st.booleans(), again=st.booleans())
    def tell(self, limit: int, dies: bool, again: bool) -> None:
        """Tell children of what has settled: a dispatcher may sleep before it notes that, and another repeat it all."""
        for _ in range(1 + again):
            news, _ = self.do(self.broker.dependencies.take_news(QUEUE, limit=limit, lease_s=0.0))
            edges = [(one, child) for one in news for child in one.children]
            assert all(one.state == self.model[one.id].state for one in news)
            codes = self.tell_children([Edge(child, one.id, one.state) for one, child in edges])
            told = [
                Told(one.id, one.version, child, is_kept=code is ResolveCode.KEPT)
                for (one, child), code in zip(edges, codes, strict=True)
            ]
            if told and not dies:
                self.do(self.broker.dependencies.end_news(QUEUE, told))
            self.late += [told] if dies and told else []

    @precondition(lambda self: self.late)
    @rule()
    def end_late(self) -> None:
        """Note that children were told, long after that: the parents may have moved on."""
        self.do(self.broker.dependencies.end_news(QUEUE, self.late.pop()))

    # Durable handlers.

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, which=any_kind, name=st.sampled_from(["a", "b"]))
    def save_step(self, at: int, which: str, name: str) -> None:
        """Store a step, which only the delivery may that holds the job; what is stored stays."""
        _, one = self.one_of_the_deliveries(at, which)
        job, content = self.model[one.id], str(len(self.deliveries)).encode()
        answer = self.do(self.broker.steps.save_step(one, name, "", "step", content))
        if job.token != one.token:
            assert answer.code is StepCode.STALE
            return
        assert answer.code is (StepCode.FOUND if name in job.steps else StepCode.SAVED)
        job.steps = {name: content} | job.steps
        assert answer.step.content == job.steps[name]

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, which=any_kind, name=st.sampled_from(["s1", "s2"]))
    def take_signal(self, at: int, which: str, name: str) -> None:
        """Look for a signal in a step of its own: the oldest of its name is taken once."""
        _, one = self.one_of_the_deliveries(at, which)
        job, step = self.model[one.id], f"wait {len(self.model[one.id].steps)}"
        answer = self.do(self.broker.steps.await_step(one, step, name, ""))
        if job.token != one.token:
            assert answer.code is StepCode.STALE
        elif name in job.signals:
            assert answer.code is StepCode.SAVED
            job.steps = job.steps | {step: answer.step.content}
            job.signals = [other for at, other in enumerate(job.signals) if at != job.signals.index(name)]
        else:
            assert answer.code is StepCode.FOUND

    @rule(at=pick, name=st.sampled_from(["s1", "s2"]))
    def signal(self, at: int, name: str) -> None:
        """Send a signal to a job in any state: it is kept, wakes the job that waits for it, or comes too late."""
        job_id = list(self.model)[at % len(self.model)]
        job = self.model[job_id]
        code = self.do(self.broker.steps.signal(QUEUE, job_id, name, b"\xc0"))
        if job.state in {"succeeded", "cancelled", "expired"}:
            assert code is SignalCode.ENDED
            return
        job.signals = [*job.signals, name]
        is_awaited = job.state == "scheduled" and job.waiting_for == name
        assert code is (SignalCode.DELIVERED if is_awaited else SignalCode.KEPT)
        if is_awaited:
            job.state, job.waiting_for, job.is_due = "queued", "", False

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, which=any_kind, picks=st.lists(pick, min_size=1, max_size=3), links=st.booleans())
    def call(self, at: int, which: str, picks: list[int], links: bool) -> None:
        """Let a job wait for others that its handler has called; its worker may die before these know of it."""
        _, one = self.one_of_the_deliveries(at, which)
        others = [job_id for job_id in self.model if job_id != one.id]
        self.commit_one(one, Calling(tuple(dict.fromkeys(others[at % len(others)] for at in picks))))
        if links and self.model[one.id].state == "blocked":
            self.link(one.id)

    # Working.

    @rule(
        worker=any_worker,
        limit=st.sampled_from([1, 2, 3, 5, 0]),
        shares=st.tuples(*[st.integers(0, 2)] * 3),
        resume=st.booleans(),
        loses_answer=st.booleans(),
    )
    def claim(self, worker: str, limit: int, shares: tuple[int, int, int], resume: bool, loses_answer: bool) -> None:
        """Claim jobs, and again after a lost response: the same jobs come, each once."""
        ready = sum(job.state == "queued" and not job.reader and not job.is_late for job in self.model.values())
        late = any(job.state == "queued" and job.is_late for job in self.model.values())
        mark = nonce()
        taken = self.take(worker, mark, limit=limit, shares=shares, resume=resume)
        if not resume and not late and not self.is_limited:
            assert len(taken) == min(limit, ready)
        if loses_answer:
            again = self.take(worker, mark, limit=limit, shares=shares, resume=True)
            assert {one.id for one in taken} <= {one.id for one in again}

    @rule(worker=any_worker)
    def read(self, worker: str) -> None:
        """Let a blocking read take an entry."""
        for entry in self.do(self.reader.wait([QUEUE], consumer=worker, block_ms=0)):
            self.model[entry.id].reader = worker
            self.entries.append((worker, entry))

    @precondition(lambda self: self.entries)
    @rule(at=pick, by=st.sampled_from([None, None, *WORKERS]), resume=st.booleans(), limit=st.integers(0, 1))
    def adopt(self, at: int, by: str | None, resume: bool, limit: int) -> None:
        """Claim what a blocking read returned, whatever happened since, also under a wrong name."""
        worker, entry = self.entries.pop(at % len(self.entries))
        self.take(by or worker, nonce(), limit=limit, read=[entry], resume=resume)

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, which=any_kind, by=st.sampled_from([None, *WORKERS]))
    def renew(self, at: int, which: str, by: str | None) -> None:
        """Renew a lease, current or lost, for its own worker or another."""
        worker, one = self.one_of_the_deliveries(at, which)
        (code,) = self.do(self.broker.store.renew(QUEUE, consumer=by or worker, leases=[lease(one)]))
        job = self.model[one.id]
        if job.token == one.token and job.owner == (by or worker):
            assert code is (LeaseCode.CANCEL_REQUESTED if job.cancel else LeaseCode.RENEWED)
        else:
            assert code is LeaseCode.LOST

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, which=any_kind, outcome=st.sampled_from(OUTCOMES))
    def commit(self, at: int, which: str, outcome: Outcome) -> None:
        """Commit an outcome, for the first time, again, or when it is stale."""
        self.commit_one(self.one_of_the_deliveries(at, which)[1], outcome)

    @precondition(lambda self: any(job.token for job in self.model.values()))
    @rule(outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=3), again=st.booleans())
    def work_off(self, outcomes: list[Outcome], again: bool) -> None:
        """Commit what runs, one job after the other, and perhaps each a second time."""
        for outcome in outcomes:
            _, one = self.one_of_the_deliveries(0, "held")
            for _ in range(1 + again):
                self.commit_one(one, outcome)

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, which=any_kind)
    def hand_back(self, at: int, which: str) -> None:
        """Hand back a delivery, for the first time, again, or when it is stale."""
        worker, one = self.one_of_the_deliveries(at, which)
        (code,) = self.do(self.broker.store.hand_back(QUEUE, worker=worker, deliveries=[one]))
        job = self.model[one.id]
        if self.settle(one, code, first=CommitCode.CANCELLED if job.cancel else CommitCode.COMMITTED):
            job.state = "cancelled" if job.cancel else "queued"
            job.handbacks += 0 if job.cancel else 1

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, which=any_kind, waits=st.booleans())
    def mark_isolated(self, at: int, which: str, waits: bool) -> None:
        """Mark a delivery as waiting to run alone, or no longer, which only its worker may."""
        _, one = self.one_of_the_deliveries(at, which)
        (noted,) = self.do(self.broker.store.mark_isolated(QUEUE, [(one.id, one.token)], waits=waits))
        job = self.model[one.id]
        assert noted == (job.token == one.token)
        if noted:
            job.apart = one.token if waits else ""

    # Housekeeping.

    @rule(duty=st.sampled_from(["let_time_pass", "let_time_pass", "release_due", "release_due", "expire", "sweep"]))
    def tidy(self, duty: str) -> None:
        """Let one of the duties run once."""
        getattr(self, duty)()

    @rule()
    def recover(self) -> None:
        """Let every lease run out at once."""
        recovery = self.do(self.broker.store.recover(QUEUE, lease_ms=0, max_crashes=MAX_CRASHES))
        requeued, buried = {one.id for one in recovery.requeued}, {one.id for one in recovery.buried}
        assert recovery.strays == 0
        for job_id, job in self.model.items():
            if job.reader:
                job.reader = ""
                assert job_id in requeued
            elif job.state == "running":
                is_charged = job.apart != job.token
                job.crashes += is_charged
                job.token, job.owner = "", ""
                is_over = is_charged and job.crashes >= MAX_CRASHES
                job.state = "cancelled" if job.cancel else "dead" if is_over else "queued"
                assert (job_id in requeued, job_id in buried) == (job.state == "queued", job.state == "dead")
            else:
                assert job_id not in requeued | buried

    def release_due(self) -> None:
        """Release due jobs."""
        release = self.do(self.broker.store.release_due(QUEUE))
        due = [job for job in self.model.values() if job.state == "scheduled" and job.is_due]
        assert (release.released + release.expired, release.expired) == (len(due), sum(job.is_late for job in due))
        for job in due:
            job.state, job.is_due = "expired" if job.is_late else "queued", False

    def expire(self) -> None:
        """Expire late jobs."""
        expired = self.do(self.broker.store.expire(QUEUE)).expired
        late = [job for job in self.model.values() if job.is_late and job.state in {"queued", "scheduled"}]
        assert expired == len(late)
        for job in late:
            job.state, job.reader, job.is_due = "expired", "", False

    def sweep(self) -> None:
        """Remove idle consumers."""
        self.do(self.broker.store.sweep_consumers(QUEUE, idle_ms=0))

    # Deciding.

    def let_time_pass(self) -> None:
        """Make all scheduled jobs due."""
        waiting = [job_id for job_id, job in self.model.items() if job.state == "scheduled"]
        self.do(make_due(self.broker, QUEUE, waiting))
        for job_id in waiting:
            self.model[job_id].is_due = True

    @rule(at=pick, decision=st.sampled_from(DECISIONS))
    def decide(self, at: int, decision: str) -> None:
        """Decide about a job in any state, or a dead one first where that matters."""
        dead = [job_id for job_id, job in self.model.items() if job.state == "dead"]
        among = dead if dead and decision in {"redrive", "discard"} else list(self.model)
        getattr(self, decision)(among[at % len(among)])

    def enqueue_again(self, job_id: JobId) -> None:
        """Repeat an enqueue whose response was lost."""
        (answer,) = self.do(self.broker.store.enqueue(QUEUE, [self.specs[job_id]]))
        assert (answer.code, answer.id) == (EnqueueCode.STORED_BEFORE, job_id)

    def cancel(self, job_id: JobId) -> None:
        """Cancel a job in any state."""
        (code,) = self.do(self.broker.store.cancel(QUEUE, [job_id]))
        job = self.model[job_id]
        if job.state in {"queued", "scheduled", "blocked"}:
            assert code is ActionCode.DONE
            job.state, job.reader, job.is_due, job.open = "cancelled", "", False, set()
        elif job.state == "running":
            assert code is (ActionCode.DONE_BEFORE if job.cancel else ActionCode.REQUESTED)
            job.cancel = True
        else:
            assert code is (ActionCode.DONE_BEFORE if job.state == "cancelled" else ActionCode.WRONG_STATE)

    def run_now(self, job_id: JobId) -> None:
        """Run a job before its time, which succeeds if it is scheduled; one that is too late expires."""
        (code,) = self.do(self.broker.store.run_now(QUEUE, [job_id]))
        job = self.model[job_id]
        if job.state != "scheduled":
            is_under_way = job.state in {"queued", "running"}
            assert code is (ActionCode.DONE_BEFORE if is_under_way else ActionCode.WRONG_STATE)
            return
        assert code is ActionCode.DONE
        job.state, job.is_due = "expired" if job.is_late else "queued", False

    def set_priority(self, job_id: JobId) -> None:
        """Change the priority of a job, which succeeds until it has started."""
        job = self.model[job_id]
        is_waiting = job.state in {"queued", "scheduled", "blocked"}
        for priority in (Priority.HIGH, Priority.LOW):
            (code,) = self.do(self.broker.store.set_priority(QUEUE, [job_id], priority))
            allowed = {ActionCode.DONE, ActionCode.DONE_BEFORE} if is_waiting else {ActionCode.WRONG_STATE}
            assert code in allowed
            if code is ActionCode.DONE:
                job.reader = ""

    def redrive(self, job_id: JobId) -> None:
        """Redrive a job, which succeeds if it is dead."""
        (code,) = self.do(self.broker.store.redrive(QUEUE, [job_id]))
        job = self.model[job_id]
        assert code is (ActionCode.DONE if job.state == "dead" else ActionCode.WRONG_STATE)
        if job.state == "dead":
            job.state, job.attempts, job.crashes, job.cancel, job.is_late = "queued", 0, 0, False, False

    def discard(self, job_id: JobId) -> None:
        """Discard a job, which succeeds if it is dead."""
        (code,) = self.do(self.broker.store.discard(QUEUE, [job_id]))
        job = self.model[job_id]
        assert code is (ActionCode.DONE if job.state == "dead" else ActionCode.WRONG_STATE)
        if job.state == "dead":
            job.state = "cancelled"


def test_transitions_keep_every_job_in_one_place(redis_url: str, examples: int) -> None:
    """No order of transitions, repeated and stale ones included, loses, doubles or misplaces a job."""
    machine = type("TransitionsHere", (Transitions,), {"redis_url": redis_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=50))
