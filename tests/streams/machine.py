"""Runs random transitions on one queue in Redis and on a model beside it, and compares both."""

from typing import Any

from hypothesis.stateful import invariant
from streams.audit import Snapshot, audit, counts_of
from streams.machine_on_redis import MachineOnRedis
from streams.model import FOLLOWS, Expected, follow, must_be_told, resolve
from streams.seeds import LONG_AGO_MS, TTL_MS, commit, events, new_job

from millstream_contracts import DEFAULT_TENANT, AfterFailure, JobId, JobType, Outcome, Priority, Queue
from millstream_streams import (
    CommitCode,
    Delivery,
    Edge,
    EnqueueCode,
    Idempotency,
    NewJob,
    Parents,
    ReadEntry,
    ResolveCode,
    Told,
)

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))


class Ground(MachineOnRedis):
    """Calls that change Redis and the model alike, and the checks that follow each."""

    key_of_new = ""
    """The key of the jobs that are stored next."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[JobId, Expected] = {}
        self.specs: dict[JobId, NewJob] = {}
        self.gone: dict[JobId, str] = {}
        """The last state of jobs that were erased."""
        self.keyed: dict[bytes, tuple[str, JobId]] = {}
        self.deliveries: list[tuple[str, Delivery]] = []
        """Every delivery so far, with its worker."""
        self.entries: list[tuple[str, ReadEntry]] = []
        """Entries that blocking reads returned and that no claim has taken, with their worker."""
        self.late: list[list[Told]] = []
        """What dispatchers that sleep have told, and will note later."""
        self.reader = self.broker.reader()

    async def at_the_end(self) -> None:
        """Check the events against the jobs."""
        await self.check_events()

    async def clean(self) -> None:
        """Delete all keys of this run."""
        await self.reader.close()
        await super().clean()

    async def check_events(self) -> None:
        """Check that the events of each job have no gap and no impossible transition."""
        versions: dict[str, int] = {}
        states: dict[str, str] = {}
        for event in await events(self.broker, QUEUE):
            for one in event.jobs:
                assert one.version == versions.get(one.id, 0) + 1, one
                assert one.state in FOLLOWS[states.get(one.id, "")], (states.get(one.id), one)
                versions[one.id], states[one.id] = one.version, one.state
        assert states == self.gone | {job_id: job.state for job_id, job in self.model.items()}

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        """Audit the queue once, because that takes longer than most transitions, and compare it with the model."""
        self.check(self.do(audit(self.broker, QUEUE)))

    def check(self, snapshot: Snapshot) -> None:
        """Compare places, states and counts of the audit with those of the model."""
        assert {job_id: fields["state"].decode() for job_id, fields in snapshot.jobs.items()} == {
            job_id: job.state for job_id, job in self.model.items()
        }
        for job_id, job in self.model.items():
            fields = snapshot.jobs[job_id]
            counts = counts_of(fields)
            assert counts == {name: getattr(job, name) for name in counts}, job_id
            self.check_kept(job_id, job, snapshot)
            kept = job.done_token if job.state == "succeeded" else job.token
            assert fields.get("token", b"").decode() == kept
            if job.is_linked and job.state == "blocked":
                untold = [one for one in job.open if must_be_told(job, self.model[one].state)]
                assert snapshot.outbox.keys() >= set(untold), f"{job_id} waits for ever"
        depths = self.do(self.broker.store.measure(QUEUE))
        held = sum(job.state == "running" or bool(job.reader) for job in self.model.values())
        assert depths.running == held
        assert sum(depths.queued) == sum(job.state == "queued" and not job.reader for job in self.model.values())

    def check_kept(self, job_id: JobId, job: Expected, snapshot: Snapshot) -> None:
        """Compare what is kept of a job for its handler with the model: nothing, once it has ended."""
        has_ended = job.state in {"succeeded", "cancelled", "expired"}
        keys = self.broker.keys.of(QUEUE)
        names = {keys.steps_prefix + job_id, keys.signals_prefix + job_id}
        if names.isdisjoint(snapshot.names):
            assert has_ended or not (job.steps or job.signals), job_id
            return
        steps = self.do(self.broker.views.steps(QUEUE, job_id))
        done = {name: step.content for name, step in steps.items() if step.kind != "wait"}
        assert done == ({} if has_ended else job.steps), job_id
        assert self.do(self.broker.views.kept_signals(QUEUE, job_id)) == ([] if has_ended else job.signals)

    def store(
        self, priority: Priority, delay_ms: int | None, *, is_late: bool, known: Idempotency | None = None
    ) -> None:
        """Enqueue, and apply it to the model."""
        expires_at_ms = LONG_AGO_MS if is_late else None
        job = new_job(
            QUEUE,
            priority=priority,
            delay_ms=delay_ms,
            expires_at_ms=expires_at_ms,
            idempotency=known,
            key=self.key_of_new,
        )
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

    def block(self, parents: list[JobId], after_failure: AfterFailure) -> JobId:
        """Enqueue a job that waits for others, and apply it to the model."""
        ids = tuple(parents)
        job = new_job(QUEUE, parents=Parents(ids, ids, after_failure))
        self.do(self.broker.store.enqueue(QUEUE, [job]))
        self.model[job.id] = Expected("blocked", open=set(ids), after_failure=after_failure)
        self.specs[job.id] = job
        return job.id

    def link(self, job_id: JobId) -> None:
        """Tell the parents of a blocked job of it, as its submitter and the linker do."""
        job = self.model[job_id]
        parents = list(job.open)
        if not parents:
            return
        states = self.do(self.broker.dependencies.listen(QUEUE, [(parent, job_id) for parent in parents]))
        assert states == [self.model[parent].state for parent in parents]
        self.tell_children([Edge(job_id, parent, state) for parent, state in zip(parents, states, strict=True)])
        self.do(self.broker.dependencies.linked(QUEUE, [job_id]))
        job.is_linked = True

    def tell_children(self, edges: list[Edge]) -> list[ResolveCode]:
        """Resolve, and apply it to the model."""
        codes = self.do(self.broker.dependencies.resolve(QUEUE, edges)) if edges else []
        for edge, code in zip(edges, codes, strict=True):
            assert code is resolve(self.model[edge.child], edge.parent, edge.state), edge
        return list(codes)

    def take(self, worker: str, mark: str, **options: Any) -> list[Delivery]:
        """Claim, and apply it to the model."""
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
        """Apply one delivery to the model."""
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

    def one_of_the_deliveries(self, at: int, which: str) -> tuple[str, Delivery]:
        """Return a delivery that is current, one whose job runs elsewhere by now, or any; the last where none fits."""
        held = {job.token for job in self.model.values() if job.token}
        found = {
            "held": [pair for pair in self.deliveries if pair[1].token in held],
            "zombie": [pair for pair in self.deliveries if self.is_zombie(pair[1])],
            "any": self.deliveries,
        }[which] or self.deliveries[-1:]
        return found[at % len(found)]

    def is_zombie(self, one: Delivery) -> bool:
        """Return whether the job of a delivery runs elsewhere by now."""
        return self.model[one.id].token not in {"", one.token}

    def commit_one(self, one: Delivery, outcome: Outcome) -> None:
        """Commit, and apply it to the model."""
        code = self.do(commit(self.broker, one, outcome, TTL_MS))
        if self.settle(one, code):
            follow(self.model[one.id], outcome)

    def settle(self, one: Delivery, code: CommitCode, *, first: CommitCode = CommitCode.COMMITTED) -> bool:
        """Check the response about the end of a delivery; return whether the delivery ended just now.

        `first` is the response to the end of a delivery that its worker still holds.
        """
        job = self.model[one.id]
        if job.token == one.token:
            assert code is first
            job.token, job.done_token, job.owner = "", one.token, ""
            return True
        wanted = CommitCode.COMMITTED_BEFORE if job.done_token == one.token else CommitCode.STALE
        assert code is wanted
        return False

    def state_of(self, job_id: JobId) -> str:
        """Return the state that Redis holds."""
        return self.do(self.broker.client.hget(self.broker.keys.of(QUEUE).job(job_id), "state")).decode()
