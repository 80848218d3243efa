"""Random transitions against a small model: after each, every job is in one place, the one that the model says."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct
from streams.audit import Snapshot, audit
from streams.seeds import ERROR, FAR_MS, LONG_AGO_MS, TTL_MS, commit, events, lease, make_due, new_job, nonce

from millstream_contracts import (
    DEFAULT_TENANT,
    Cancelled,
    Dead,
    JobId,
    JobType,
    Outcome,
    Priority,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
)
from millstream_streams import (
    ActionCode,
    Broker,
    CommitCode,
    Delivery,
    EnqueueCode,
    Idempotency,
    LeaseCode,
    NewJob,
    ReadEntry,
    open_broker,
)

MAX_CRASHES = 2
QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
WORKERS = ("w1", "w2")

OUTCOMES: list[Outcome] = [
    Succeeded(),
    RetryAt(FAR_MS, ERROR),
    RetryAt(0, ERROR),
    Snoozed(FAR_MS),
    Snoozed(0),
    Dead("attempts", ERROR),
    Cancelled("handler"),
]


class Expected(Struct):
    """What the model knows of a job."""

    state: str
    is_late: bool = False
    """Whether it has to end as expired instead of starting."""
    is_due: bool = False
    token: str = ""
    done_token: str = ""
    owner: str = ""
    reader: str = ""
    """Who has read its entry without claiming it."""
    cancel: bool = False
    attempts: int = 0
    crashes: int = 0
    deliveries: int = 0
    handbacks: int = 0


# What may follow on what, in the order of a job's versions.
FOLLOWS = {
    "": {"queued", "scheduled"},
    "queued": {"running", "cancelled", "expired", "queued"},
    "scheduled": {"queued", "cancelled", "expired"},
    "running": {"running", "queued", "scheduled", "succeeded", "dead", "cancelled"},
    "dead": {"queued", "cancelled"},
}

any_worker = st.sampled_from(WORKERS)
pick = st.integers(0, 99)
"""Which of the jobs, deliveries or entries there are, counted round."""


class Transitions(RuleBasedStateMachine):
    """One queue, two workers, a reaper, a dispatcher and an operator, in any order."""

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[JobId, Expected] = {}
        self.specs: dict[JobId, NewJob] = {}
        self.keyed: dict[bytes, tuple[str, JobId]] = {}
        self.deliveries: list[tuple[str, Delivery]] = []
        """Every one that was ever given, with its worker."""
        self.entries: list[tuple[str, ReadEntry]] = []
        """What blocking reads have returned and nobody has claimed, with their worker."""
        self.loop = asyncio.Runner()
        self.opened = open_broker(self.redis_url, namespace=f"t{nonce()}{nonce()}")
        self.broker: Broker = self.do(self.opened.__aenter__())
        self.reader = self.broker.reader()

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Run one call to its end."""
        return self.loop.run(call)

    def teardown(self) -> None:
        """Hold the events against the jobs, and leave nothing behind."""
        try:
            self.do(self.check_events())
        finally:
            self.do(self.clean())
            self.loop.close()

    async def clean(self) -> None:
        """Delete all keys of this run."""
        await self.reader.close()
        keys = [key async for key in self.broker.client.scan_iter(match=f"{self.broker.keys.namespace}:*", count=1000)]
        if keys:
            await self.broker.client.delete(*keys)
        await self.opened.__aexit__(None, None, None)

    async def check_events(self) -> None:
        """Events tell each job's story without a gap and without an impossible step."""
        versions: dict[str, int] = {}
        states: dict[str, str] = {}
        for event in await events(self.broker, QUEUE):
            for one in event.jobs:
                assert one.version == versions.get(one.id, 0) + 1, one
                assert one.state in FOLLOWS[states.get(one.id, "")], (states.get(one.id), one)
                versions[one.id], states[one.id] = one.version, one.state
        assert states == {job_id: job.state for job_id, job in self.model.items()}

    @invariant()
    def every_job_is_where_the_model_says(self) -> None:
        """Hold places, states and counts against the audit and the model."""
        snapshot: Snapshot = self.do(audit(self.broker, QUEUE))
        assert {job_id: fields["state"].decode() for job_id, fields in snapshot.jobs.items()} == {
            job_id: job.state for job_id, job in self.model.items()
        }
        for job_id, job in self.model.items():
            fields = snapshot.jobs[job_id]
            counts = {name: int(fields.get(name, 0)) for name in ("attempts", "crashes", "deliveries", "handbacks")}
            assert counts == {name: getattr(job, name) for name in counts}, job_id
            assert fields.get("token", b"").decode() == job.token
        depths = self.do(self.broker.store.measure(QUEUE))
        held = sum(job.state == "running" or bool(job.reader) for job in self.model.values())
        assert depths.running == held
        assert sum(depths.queued) == sum(job.state == "queued" and not job.reader for job in self.model.values())

    # Submitting.

    @initialize()
    def begin_with_some_jobs(self) -> None:
        """Store a job of each priority, one that waits for its time and one that is late."""
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
        """Store a new job, or meet an idempotency key that is known."""
        self.store(priority, delay_ms, is_late=is_late, known=Idempotency(key, fingerprint) if key else None)

    def store(
        self, priority: Priority, delay_ms: int | None, *, is_late: bool, known: Idempotency | None = None
    ) -> None:
        """Enqueue, and follow it in the model."""
        expires_at_ms = LONG_AGO_MS if is_late else None
        job = new_job(QUEUE, priority=priority, delay_ms=delay_ms, expires_at_ms=expires_at_ms, idempotency=known)
        (answer,) = self.do(self.broker.store.enqueue(QUEUE, [job]))
        if known and known.key in self.keyed:
            fingerprint, earlier = self.keyed[known.key]
            wanted = EnqueueCode.REPLAYED if fingerprint == known.fingerprint else EnqueueCode.KEY_REUSED
            assert (answer.code, answer.id) == (wanted, earlier)
            return
        assert (answer.code, answer.id) == (EnqueueCode.STORED, job.id)
        self.model[job.id] = Expected("scheduled" if delay_ms else "queued", is_late=is_late)
        self.specs[job.id] = job
        if known:
            self.keyed[known.key] = known.fingerprint, job.id

    # Working.

    @rule(
        worker=any_worker,
        limit=st.sampled_from([1, 2, 3, 5, 0]),
        shares=st.tuples(*[st.integers(0, 2)] * 3),
        resume=st.booleans(),
        loses_answer=st.booleans(),
    )
    def claim(self, worker: str, limit: int, shares: tuple[int, int, int], resume: bool, loses_answer: bool) -> None:
        """Take jobs; when the answer is lost ask again: the same jobs come, and each once."""
        ready = sum(job.state == "queued" and not job.reader and not job.is_late for job in self.model.values())
        late = any(job.state == "queued" and job.is_late for job in self.model.values())
        mark = nonce()
        taken = self.take(worker, mark, limit=limit, shares=shares, resume=resume)
        if not resume and not late:
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
    @rule(at=pick, resume=st.booleans(), limit=st.integers(0, 1))
    def adopt(self, at: int, resume: bool, limit: int) -> None:
        """Claim what a blocking read returned, whatever became of it since."""
        worker, entry = self.entries.pop(at % len(self.entries))
        self.take(worker, nonce(), limit=limit, read=[entry], resume=resume)

    def take(self, worker: str, mark: str, **options: Any) -> list[Delivery]:
        """Claim, and follow it in the model."""
        claim = self.do(self.broker.store.claim(QUEUE, consumer=worker, nonce=mark, **options))
        taken = claim.deliveries
        assert len({one.id for one in taken}) == len(taken), "one job was given twice"
        for one in taken:
            self.start(worker, mark, one)
            self.deliveries.append((worker, one))
        for job_id, job in self.model.items():
            # Which late jobs a claim met depends on its shares: the audit asks Redis, here only what may be is checked.
            if job.state == "queued" and job.is_late and self.state_of(job_id) == "expired":
                job.state, job.reader = "expired", ""
        return taken

    def start(self, worker: str, mark: str, one: Delivery) -> None:
        """Follow one delivery in the model."""
        job = self.model[one.id]
        if job.state == "running":
            assert (job.token, job.owner) == (one.token, worker), "a running job was given away"
            return
        assert (job.state, job.is_late) == ("queued", False)
        assert job.reader in {"", worker}
        job.state, job.owner, job.reader = "running", worker, ""
        job.deliveries += 1
        job.token = f"{job.deliveries}:{mark}"
        assert (one.token, one.attempts, one.crashes) == (job.token, job.attempts, job.crashes)

    def one_of_the_deliveries(self, at: int, *, stale: bool) -> tuple[str, Delivery]:
        """Return a delivery that still counts, or any: one of a zombie, or one that has ended."""
        live = [held for held in self.deliveries if self.model[held[1].id].token == held[1].token]
        among = self.deliveries if stale or not live else live
        return among[at % len(among)]

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, stale=st.booleans(), by=st.sampled_from([None, *WORKERS]))
    def renew(self, at: int, stale: bool, by: str | None) -> None:
        """Renew a lease, held or lost, by whoever has it or by another."""
        worker, one = self.one_of_the_deliveries(at, stale=stale)
        (code,) = self.do(self.broker.store.renew(QUEUE, consumer=by or worker, leases=[lease(one)]))
        job = self.model[one.id]
        if job.token == one.token and job.owner == (by or worker):
            assert code is (LeaseCode.CANCEL_REQUESTED if job.cancel else LeaseCode.RENEWED)
        else:
            assert code is LeaseCode.LOST

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, stale=st.booleans(), outcome=st.sampled_from(OUTCOMES))
    def commit(self, at: int, stale: bool, outcome: Outcome) -> None:
        """Commit an outcome, for the first time, again, or as a zombie."""
        self.commit_one(self.one_of_the_deliveries(at, stale=stale)[1], outcome)

    @precondition(lambda self: any(job.token for job in self.model.values()))
    @rule(outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=3), again=st.booleans())
    def work_off(self, outcomes: list[Outcome], again: bool) -> None:
        """Commit what runs, one after the other, and perhaps each a second time."""
        for outcome in outcomes:
            _, one = self.one_of_the_deliveries(0, stale=False)
            for _ in range(1 + again):
                self.commit_one(one, outcome)

    def commit_one(self, one: Delivery, outcome: Outcome) -> None:
        """Commit, and follow it in the model."""
        code = self.do(commit(self.broker, one, outcome, TTL_MS))
        if self.settle(one, code):
            self.follow(self.model[one.id], outcome)

    @precondition(lambda self: self.deliveries)
    @rule(at=pick, stale=st.booleans())
    def hand_back(self, at: int, stale: bool) -> None:
        """Return a delivery, for the first time, again, or as a zombie."""
        worker, one = self.one_of_the_deliveries(at, stale=stale)
        (code,) = self.do(self.broker.store.hand_back(QUEUE, worker=worker, tokens=[(one.id, one.token)]))
        if self.settle(one, code):
            job = self.model[one.id]
            job.state = "cancelled" if job.cancel else "queued"
            job.handbacks += 0 if job.cancel else 1

    def settle(self, one: Delivery, code: CommitCode) -> bool:
        """Check the answer about a delivery's end; return whether it has ended just now."""
        job = self.model[one.id]
        if job.token == one.token:
            assert code is CommitCode.COMMITTED
            job.token, job.done_token, job.owner = "", one.token, ""
            return True
        wanted = CommitCode.COMMITTED_BEFORE if job.done_token == one.token else CommitCode.STALE
        assert code is wanted
        return False

    def follow(self, job: Expected, outcome: Outcome) -> None:
        """Follow an outcome in the model."""
        match outcome:
            case Succeeded():
                job.state = "succeeded"
                job.attempts += 1
            case Dead() if not job.cancel:
                job.state = "dead"
                job.attempts += 1
            case RetryAt(delay_ms, _) if not job.cancel:
                job.state = "scheduled" if delay_ms else "queued"
                job.attempts += 1
            case Snoozed(delay_ms) if not job.cancel:
                job.state = "scheduled" if delay_ms else "queued"
            case _:
                job.state = "cancelled"
        job.is_due = False

    # Housekeeping.

    @rule(
        duty=st.sampled_from(["recover", "recover", "let_time_pass", "release_due", "release_due", "expire", "sweep"])
    )
    def tidy(self, duty: str) -> None:
        """Let one of the duties run once."""
        getattr(self, duty)()

    def recover(self) -> None:
        """Every lease runs out at once."""
        recovery = self.do(self.broker.store.recover(QUEUE, lease_ms=0, max_crashes=MAX_CRASHES))
        requeued, buried = {one.id for one in recovery.requeued}, {one.id for one in recovery.buried}
        assert recovery.strays == 0
        for job_id, job in self.model.items():
            if job.reader:
                job.reader = ""
                assert job_id in requeued
            elif job.state == "running":
                job.token, job.owner = "", ""
                job.crashes += 1
                job.state = "cancelled" if job.cancel else "dead" if job.crashes >= MAX_CRASHES else "queued"
                assert (job_id in requeued, job_id in buried) == (job.state == "queued", job.state == "dead")
            else:
                assert job_id not in requeued | buried

    def release_due(self) -> None:
        """Make ready what is due."""
        release = self.do(self.broker.store.release_due(QUEUE))
        due = [job for job in self.model.values() if job.state == "scheduled" and job.is_due]
        assert (release.released + release.expired, release.expired) == (len(due), sum(job.is_late for job in due))
        for job in due:
            job.state, job.is_due = "expired" if job.is_late else "queued", False

    def expire(self) -> None:
        """End what has not started in time."""
        expired, _ = self.do(self.broker.store.expire(QUEUE))
        late = [job for job in self.model.values() if job.is_late and job.state in {"queued", "scheduled"}]
        assert expired == len(late)
        for job in late:
            job.state, job.reader, job.is_due = "expired", "", False

    def sweep(self) -> None:
        """Remove idle consumers: nothing may get lost by it."""
        self.do(self.broker.store.sweep_consumers(QUEUE, idle_ms=0))

    # Deciding.

    def let_time_pass(self) -> None:
        """Let the time of all scheduled jobs come."""
        waiting = [job_id for job_id, job in self.model.items() if job.state == "scheduled"]
        self.do(make_due(self.broker, QUEUE, waiting))
        for job_id in waiting:
            self.model[job_id].is_due = True

    @rule(at=pick, decision=st.sampled_from(["cancel", "cancel", "redrive", "discard", "enqueue_again"]))
    def decide(self, at: int, decision: str) -> None:
        """Do something about a job, in whatever state it is; a dead one first, where that is the point."""
        dead = [job_id for job_id, job in self.model.items() if job.state == "dead"]
        among = dead if dead and decision in {"redrive", "discard"} else list(self.model)
        getattr(self, decision)(among[at % len(among)])

    def enqueue_again(self, job_id: JobId) -> None:
        """Send a call again whose answer was lost."""
        (answer,) = self.do(self.broker.store.enqueue(QUEUE, [self.specs[job_id]]))
        assert (answer.code, answer.id) == (EnqueueCode.STORED_BEFORE, job_id)

    def cancel(self, job_id: JobId) -> None:
        """Cancel a job in any state."""
        (code,) = self.do(self.broker.store.cancel(QUEUE, [job_id]))
        job = self.model[job_id]
        if job.state in {"queued", "scheduled"}:
            assert code is ActionCode.DONE
            job.state, job.reader, job.is_due = "cancelled", "", False
        elif job.state == "running":
            assert code is (ActionCode.DONE_BEFORE if job.cancel else ActionCode.REQUESTED)
            job.cancel = True
        else:
            assert code is (ActionCode.DONE_BEFORE if job.state == "cancelled" else ActionCode.WRONG_STATE)

    def redrive(self, job_id: JobId) -> None:
        """Give a job a new life, if it is dead."""
        (code,) = self.do(self.broker.store.redrive(QUEUE, [job_id]))
        job = self.model[job_id]
        assert code is (ActionCode.DONE if job.state == "dead" else ActionCode.WRONG_STATE)
        if job.state == "dead":
            job.state, job.attempts, job.crashes, job.cancel, job.is_late = "queued", 0, 0, False, False

    def discard(self, job_id: JobId) -> None:
        """Let a job go, if it is dead."""
        (code,) = self.do(self.broker.store.discard(QUEUE, [job_id]))
        job = self.model[job_id]
        assert code is (ActionCode.DONE if job.state == "dead" else ActionCode.WRONG_STATE)
        if job.state == "dead":
            job.state = "cancelled"

    def state_of(self, job_id: JobId) -> str:
        """Return the state that Redis holds."""
        return self.do(self.broker.client.hget(self.broker.keys.of(QUEUE).job(job_id), "state")).decode()


def test_transitions_keep_every_job_in_one_place(redis_url: str) -> None:
    """Whatever happens in whatever order, also twice and by zombies: no job is lost, doubled or misplaced."""
    machine = type("TransitionsHere", (Transitions,), {"redis_url": redis_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=50))
