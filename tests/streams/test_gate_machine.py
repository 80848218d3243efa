"""After each random transition of a queue with limits every slot is counted, and nothing stands still."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from streams.audit import Snapshot, audit, priority_place
from streams.gate_audit import audit_gate
from streams.machine import QUEUE
from streams.model import Expected
from streams.seeds import FAR_MS, new_job
from streams.test_state_machine import Transitions

from millstream_contracts import Priority, Snoozed, SnoozeGate
from millstream_streams import Delivery, EnqueueCode

HOUR = 3_600_000.0
KEYS = ("a", "b", "c d")
LIMITS = (
    {"c": 1},
    {"c": 3},
    {"kc": 1},
    {"kc": 2, "w": {"a": 3}},
    {"c": 3, "kc": 1},
    {"r": HOUR, "rb": 3},
    {"kr": HOUR, "krb": 2},
    {"r": 1.0, "rb": 1, "kr": 2.0, "krb": 1, "c": 4, "kc": 2},
    {"fair": True},
    {"c": 0, "tc": 3},
    {"c": 1, "tc": 3, "kc": 1},
    {"r": HOUR, "rb": 0, "tr": HOUR, "tb": 3},
    {"b": {"ratio": 0.5, "window": HOUR, "min": 2, "cool": 1, "cap": 2, "probes": 1}},
    {"b": {"ratio": 0.3, "window": HOUR, "min": 3, "cool": HOUR, "cap": HOUR, "probes": 2}, "c": 3, "kc": 2},
)


class LimitedTransitions(Transitions):
    """The same queue with limits, which are changed as well."""

    is_limited = True

    @initialize(limits=st.sampled_from(({}, *LIMITS)))
    def limit_at_first(self, limits: dict) -> None:
        """Begin with limits, or without and with a backlog."""
        self.tune(limits)

    @rule(limits=st.sampled_from(({}, *LIMITS)))
    def tune(self, limits: dict) -> None:
        """Change the limits."""
        self.do(self.broker.settings.tune(QUEUE, limits))

    @rule(is_open=st.booleans())
    def steer_breaker(self, is_open: bool) -> None:
        """Open or close the circuit breaker by hand."""
        desk = self.broker.settings
        self.do(desk.open_breaker(QUEUE) if is_open else desk.close_breaker(QUEUE))

    @rule()
    def deal(self) -> None:
        """Deal split limits out, as a dispatcher does."""
        self.do(self.broker.budgets.deal([QUEUE]))

    @rule(number=st.sampled_from([None, 0, 1, 3]))
    def change_quota(self, number: int | None) -> None:
        """Set, change or remove the quota of the tenant."""
        quotas = self.broker.quotas
        noted = self.do(quotas.read(QUEUE.tenant)).quota
        assert self.do(quotas.put_quota(QUEUE.tenant, noted, number))
        self.do(quotas.deal(QUEUE.tenant, [QUEUE], are_all=True))

    @rule(is_served=st.booleans())
    def deal_quota(self, is_served: bool) -> None:
        """Deal the quota of the tenant out, as a dispatcher does."""
        self.do(self.broker.quotas.deal(QUEUE.tenant, [QUEUE], unserved=[] if is_served else [QUEUE]))

    @precondition(lambda self: any(job.token for job in self.model.values()))
    @rule(gate=st.sampled_from(["type", "key"]))
    def hold(self, gate: SnoozeGate) -> None:
        """Let the handler of a job hold back its type or its key."""
        self.commit_one(self.one_of_the_deliveries(0, "held")[1], Snoozed(FAR_MS, gate))

    @rule(after_ms=st.integers(1, 20))
    def hold_for_a_moment(self, after_ms: int) -> None:
        """Hold the queue back for a time that is over soon."""
        self.do(self.broker.settings.hold(QUEUE, after_ms=after_ms, job_id=next(iter(self.model))))

    @rule(key=st.sampled_from(["", *KEYS]))
    def end_hold(self, key: str) -> None:
        """End the hold of the queue or of a key."""
        self.do(self.broker.settings.end_hold(QUEUE, key))

    @rule(key=st.sampled_from(["", *KEYS]))
    def choose_key(self, key: str) -> None:
        """Submit jobs with another key from now on."""
        self.key_of_new = key

    @rule(keys=st.lists(st.sampled_from(["", *KEYS]), min_size=2, max_size=5), priority=st.sampled_from(Priority))
    def submit_at_once(self, keys: list[str], priority: Priority) -> None:
        """Submit jobs of several keys in one call, of which some have one job and some more."""
        jobs = [new_job(QUEUE, key=key, priority=priority) for key in keys]
        for answer in self.do(self.broker.store.enqueue(QUEUE, jobs)):
            assert answer.code is EnqueueCode.STORED
        for job in jobs:
            self.model[job.id], self.specs[job.id] = Expected("queued"), job

    def take(self, worker: str, mark: str, **options: Any) -> list[Delivery]:
        """Claim; what had become ready before the limits and was read is held back by that."""
        taken = super().take(worker, mark, **options)
        snapshot = self.do(audit(self.broker, QUEUE))
        for job_id, job in self.model.items():
            fields = snapshot.jobs[job_id]
            held = snapshot.pending[priority_place(fields)]
            if job.reader and fields.get("entry", b"").decode() not in held:
                job.reader = ""
        return taken

    def check(self, snapshot: Snapshot) -> None:
        """Audit the gate too: every slot is counted, and nothing stands still."""
        super().check(snapshot)
        self.do(audit_gate(self.broker, QUEUE, snapshot))


def test_limits_lose_no_job_and_no_slot(redis_url: str, examples: int) -> None:
    """No order of transitions and changes of limits loses a job or a slot, or leaves a job that may start unseen."""
    machine = type("LimitedTransitionsHere", (LimitedTransitions,), {"redis_url": redis_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=50))
