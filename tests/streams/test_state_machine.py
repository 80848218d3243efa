"""Random transitions against a small model: after each, every job is in one place, the one that the model says."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
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


class Transitions(RuleBasedStateMachine):
    """One queue, two workers, a reaper, a dispatcher and an operator, in any order."""

    jobs = Bundle("jobs")
    deliveries = Bundle("deliveries")
    entries = Bundle("entries")
    claims = Bundle("claims")

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[JobId, Expected] = {}
        self.specs: dict[JobId, NewJob] = {}
        self.keyed: dict[bytes, tuple[str, JobId]] = {}
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

    @rule(
        target=jobs,
        priority=st.sampled_from(Priority),
        delay_ms=st.sampled_from([None, None, FAR_MS]),
        is_late=st.sampled_from([False, False, False, True]),
        key=st.sampled_from([None, None, b"k1", b"k2"]),
        fingerprint=st.sampled_from(["aa", "bb"]),
    )
    def enqueue(
        self, priority: Priority, delay_ms: int | None, is_late: bool, key: bytes | None, fingerprint: str
    ) -> JobId:
        """Store a new job, or meet an idempotency key that is known."""
        job = new_job(
            QUEUE,
            priority=priority,
            delay_ms=delay_ms,
            expires_at_ms=LONG_AGO_MS if is_late else None,
            idempotency=Idempotency(key, fingerprint) if key else None,
        )
        (answer,) = self.do(self.broker.store.enqueue(QUEUE, [job]))
        known = self.keyed.get(key) if key else None
        if known:
            wanted = EnqueueCode.REPLAYED if known[0] == fingerprint else EnqueueCode.KEY_REUSED
            assert (answer.code, answer.id) == (wanted, known[1])
            return known[1]
        assert (answer.code, answer.id) == (EnqueueCode.STORED, job.id)
        self.model[job.id] = Expected("scheduled" if delay_ms else "queued", is_late=is_late)
        self.specs[job.id] = job
        if key:
            self.keyed[key] = fingerprint, job.id
        return job.id

    @rule(job_id=jobs)
    def enqueue_again(self, job_id: JobId) -> None:
        """Send a call again whose answer was lost."""
        (answer,) = self.do(self.broker.store.enqueue(QUEUE, [self.specs[job_id]]))
        assert (answer.code, answer.id) == (EnqueueCode.STORED_BEFORE, job_id)

    # Working.

    @rule(
        target=deliveries,
        worker=st.sampled_from(WORKERS),
        limit=st.integers(0, 3),
        shares=st.tuples(*[st.integers(0, 2)] * 3),
        resume=st.booleans(),
    )
    def claim(self, worker: str, limit: int, shares: tuple[int, int, int], resume: bool) -> Any:
        """Take jobs."""
        ready = sum(job.state == "queued" and not job.reader and not job.is_late for job in self.model.values())
        late = any(job.state == "queued" and job.is_late for job in self.model.values())
        taken = self.take(worker, nonce(), limit=limit, shares=shares, resume=resume)
        if not resume and not late:
            assert len(taken) == min(limit, ready)
        return multiple(*taken)

    @rule(target=deliveries, worker=st.sampled_from(WORKERS), limit=st.integers(1, 3))
    def claim_twice(self, worker: str, limit: int) -> Any:
        """Take jobs, lose the answer, and ask again: the same jobs, and each once."""
        mark = nonce()
        first = self.take(worker, mark, limit=limit)
        again = self.take(worker, mark, limit=limit, resume=True)
        assert {one.id for one in first} <= {one.id for one in again}
        return multiple(*again)

    @rule(target=entries, worker=st.sampled_from(WORKERS))
    def read(self, worker: str) -> Any:
        """Let a blocking read take an entry per stream."""
        found = self.do(self.reader.wait([QUEUE], consumer=worker, block_ms=0))
        for entry in found:
            self.model[entry.id].reader = worker
        return multiple(*((worker, entry) for entry in found))

    @rule(target=deliveries, read=consumes(entries), resume=st.booleans(), limit=st.integers(0, 1))
    def adopt(self, read: tuple[str, ReadEntry], resume: bool, limit: int) -> Any:
        """Claim what a blocking read returned, whatever became of it since."""
        worker, entry = read
        return multiple(*self.take(worker, nonce(), limit=limit, read=[entry], resume=resume))

    def take(self, worker: str, mark: str, **options: Any) -> list[Delivery]:
        """Claim, and follow it in the model."""
        claim = self.do(self.broker.store.claim(QUEUE, consumer=worker, nonce=mark, **options))
        taken = claim.deliveries
        assert len({one.id for one in taken}) == len(taken), "one job was given twice"
        for one in taken:
            self.start(worker, mark, one)
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

    @rule(one=deliveries, worker=st.sampled_from(WORKERS))
    def renew(self, one: Delivery, worker: str) -> None:
        """Renew a lease, one's own or another's, held or lost."""
        (code,) = self.do(self.broker.store.renew(QUEUE, consumer=worker, leases=[lease(one)]))
        job = self.model[one.id]
        if job.token == one.token and job.owner == worker:
            assert code is (LeaseCode.CANCEL_REQUESTED if job.cancel else LeaseCode.RENEWED)
        else:
            assert code is LeaseCode.LOST

    @rule(one=deliveries, outcome=st.sampled_from(OUTCOMES))
    def commit(self, one: Delivery, outcome: Outcome) -> None:
        """Commit an outcome, for the first time, again, or as a zombie."""
        code = self.do(commit(self.broker, one, outcome, TTL_MS))
        if self.settle(one, code):
            self.follow(self.model[one.id], outcome)

    @rule(one=deliveries)
    def hand_back(self, one: Delivery) -> None:
        """Return a delivery, for the first time, again, or as a zombie."""
        (code,) = self.do(self.broker.store.hand_back(QUEUE, worker=one.token, tokens=[(one.id, one.token)]))
        if self.settle(one, code):
            job = self.model[one.id]
            if job.cancel:
                job.state = "cancelled"
            else:
                job.state = "queued"
                job.handbacks += 1

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

    @rule()
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

    @rule(job_id=jobs)
    def let_time_pass(self, job_id: JobId) -> None:
        """Let the time of a scheduled job come."""
        if self.model[job_id].state == "scheduled":
            self.do(make_due(self.broker, QUEUE, [job_id]))
            self.model[job_id].is_due = True

    @rule()
    def release_due(self) -> None:
        """Make ready what is due."""
        release = self.do(self.broker.store.release_due(QUEUE))
        due = [job for job in self.model.values() if job.state == "scheduled" and job.is_due]
        assert (release.released + release.expired, release.expired) == (len(due), sum(job.is_late for job in due))
        for job in due:
            job.state, job.is_due = "expired" if job.is_late else "queued", False

    @rule()
    def expire(self) -> None:
        """End what has not started in time."""
        expired, _ = self.do(self.broker.store.expire(QUEUE))
        late = [job for job in self.model.values() if job.is_late and job.state in {"queued", "scheduled"}]
        assert expired == len(late)
        for job in late:
            job.state, job.reader, job.is_due = "expired", "", False

    @rule()
    def sweep(self) -> None:
        """Remove idle consumers: nothing may get lost by it."""
        self.do(self.broker.store.sweep_consumers(QUEUE, idle_ms=0))

    # Deciding.

    @rule(job_id=jobs)
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

    @rule(job_id=jobs)
    def redrive(self, job_id: JobId) -> None:
        """Give a job a new life, if it is dead."""
        (code,) = self.do(self.broker.store.redrive(QUEUE, [job_id]))
        job = self.model[job_id]
        assert code is (ActionCode.DONE if job.state == "dead" else ActionCode.WRONG_STATE)
        if job.state == "dead":
            job.state, job.attempts, job.crashes, job.cancel, job.is_late = "queued", 0, 0, False, False

    @rule(job_id=jobs)
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


def run_transitions(redis_url: str, examples: int, phases: tuple[Phase, ...] | None = None) -> None:
    """Run the machine. Raises: AssertionError, with the steps that lead to it."""
    machine = type("TransitionsHere", (Transitions,), {"redis_url": redis_url})
    options = {"phases": phases} if phases else {}
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=30, **options))


def test_transitions_keep_every_job_in_one_place(redis_url: str) -> None:
    """Whatever happens in whatever order, also twice and by zombies: no job is lost, doubled or misplaced."""
    run_transitions(redis_url, examples=25)
