"""After each random transition of unique jobs no key has two of them, and none is held by a job that has ended."""

from functools import partial
from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from msgspec import Struct
from msgspec.structs import replace
from streams.audit import Snapshot
from streams.machine import QUEUE
from streams.model import OUTCOMES, Expected
from streams.planting import Bug, marks_of
from streams.seeds import FAR_MS, LONG_AGO_MS, new_job, nonce
from streams.test_gate_machine import LimitedTransitions
from streams.test_mutations import MUTATIONS, SEARCH
from streams.test_state_machine import DECISIONS, pick
from streams.unique_audit import audit_unique
from streams.unique_model import ENDED, WINDOW_MS, UniqueModel

from millstream_contracts import JobId, OnConflict, Outcome, Priority, UniqueScope
from millstream_streams import ActionCode, EnqueueCode, Idempotency, NewJob, Parents, UniqueKey
from millstream_streams.store import script_runner
from millstream_streams.store.scripting import Script, load_script

DIGESTS = ("0a" * 16, "0b" * 16)


class Asked(Struct, frozen=True):
    """One unique job of a submission."""

    scope: UniqueScope = "running"
    on_conflict: OnConflict = "return"
    digest: str = DIGESTS[0]
    state: str = "queued"
    """The one in which it is stored: queued, scheduled or blocked."""
    priority: Priority = Priority.NORMAL
    is_late: bool = False
    known: Idempotency | None = None

    @property
    def unique(self) -> UniqueKey:
        """Return its key."""
        return UniqueKey(
            self.scope, self.digest, self.on_conflict, WINDOW_MS if self.scope == "window" else None, "invoice 7"
        )


asked = st.builds(
    Asked,
    scope=st.sampled_from(get_args(UniqueScope)),
    on_conflict=st.sampled_from(get_args(OnConflict)),
    digest=st.sampled_from(DIGESTS),
    state=st.sampled_from(["queued", "queued", "scheduled", "blocked"]),
    priority=st.sampled_from(Priority),
    is_late=st.sampled_from([False, False, False, True]),
    known=st.sampled_from([None, None, None, Idempotency(b"k1", "aa"), Idempotency(b"k1", "bb")]),
)


class UniqueTransitions(LimitedTransitions):
    """The same queue, with limits or without, whose jobs have unique keys."""

    # A quota keeps jobs from their start as limits do, and with fewer starts a short search finds less.
    change_quota = None
    deal_quota = None

    def __init__(self) -> None:
        super().__init__()
        self.unique = UniqueModel(self.model)

    @initialize(scopes=st.permutations(get_args(UniqueScope)))
    def begin_with_unique_jobs(self, scopes: list[UniqueScope]) -> None:
        """Store a job for each key."""
        self.submit([Asked(scope, digest=digest) for scope, digest in zip(scopes, DIGESTS, strict=False)])

    @rule(jobs=st.lists(asked, min_size=1, max_size=3))
    def submit_batch(self, jobs: list[Asked]) -> None:
        """Submit unique jobs in one call, of which one may stand in the way of the next."""
        self.submit(jobs)

    @rule(one=asked)
    def submit_one(self, one: Asked) -> None:
        """Submit a unique job."""
        self.submit([one])

    @rule(at=pick, outcome=st.sampled_from(OUTCOMES), then=st.sampled_from([None, "return", "replace", "replace"]))
    def run_one(self, at: int, outcome: Outcome, then: OnConflict | None) -> None:
        """Let a worker take what it gets, and commit a unique job that runs; perhaps submit another with its key.

        One that has died is redriven beside that.
        """
        self.take("w1", nonce(), limit=5)
        running = [one for _, one in self.deliveries if self.model[one.id].token == one.token]
        unique = [one for one in running if one.id in self.unique.claims]
        if not unique:
            return
        one = unique[at % len(unique)]
        self.commit_one(one, outcome)
        if then:
            self.submit([Asked("running", then, self.unique.claims[one.id].digest)])
            self.redrive(one.id)

    @rule(at=pick, decision=st.sampled_from(DECISIONS))
    def decide_on_unique(self, at: int, decision: str) -> None:
        """Decide about a unique job in any state."""
        ids = [job_id for job_id in self.unique.claims if job_id in self.model]
        if ids:
            getattr(self, decision)(ids[at % len(ids)])

    @rule(at=pick, one=asked)
    def meet_the_record_of_another(self, at: int, one: Asked) -> None:
        """Submit a job for a free key whose record names a job that does not hold it: an older release had left it."""
        digest = one.digest
        if self.unique.holder_of(digest) is not None:
            return
        others, claims = [job_id for job_id in self.model if not self.unique.holds(job_id)], self.unique.claims
        if at % 2:  # often one of those that had the key
            others = [one for one in others if one in claims and claims[one].digest == digest] or others
        record = self.broker.keys.of(QUEUE).unique_prefix + digest
        if others:
            self.do(self.broker.client.set(record, others[at % len(others)]))
            self.submit([Asked(one.scope, one.on_conflict, digest)])

    @precondition(lambda self: self.unique.holders("window"))
    @rule(at=pick, asks=st.booleans())
    def end_window(self, at: int, asks: bool) -> None:
        """Let the window of a job end, and submit the next one before its record is gone."""
        holders = self.unique.holders("window")
        job_id = holders[at % len(holders)]
        claim, keys = self.unique.claims[job_id], self.broker.keys.of(QUEUE)
        text = self.do(self.broker.client.hget(keys.job(job_id), "unique")).decode().split(" ")
        text[3] = str(LONG_AGO_MS)
        self.do(self.broker.client.hset(keys.job(job_id), "unique", " ".join(text)))
        claim.is_over = True
        if asks:
            self.submit([Asked("window", "reject", claim.digest)])
        else:
            self.do(self.broker.client.delete(keys.unique_prefix + claim.digest))

    @rule(at=pick)
    def erase(self, at: int) -> None:
        """Erase a unique job for which no other one waits."""
        found = [one for one in self.unique.claims if one in self.model and not self.is_awaited(one)]
        if not found:
            return
        job_id = found[at % len(found)]
        (code,) = self.do(self.broker.store.erase(QUEUE, [job_id]))
        state = self.model[job_id].state
        assert code is (ActionCode.WRONG_STATE if state == "running" else ActionCode.DONE)
        if state != "running":
            self.forget(job_id)

    # The model.

    def is_awaited(self, job_id: JobId) -> bool:
        """Return whether other jobs wait for one, or have asked to be told of its end."""
        waited = self.do(self.broker.client.hget(self.broker.keys.of(QUEUE).job(job_id), "waited")) or b""
        return b"k" in waited or any(job_id in job.open for job in self.model.values())

    def forget(self, job_id: JobId) -> None:
        """Remove a job from the model: its events stay, and the last one says that it was cancelled."""
        state = self.model.pop(job_id).state
        self.gone[job_id] = state if state in ENDED - {"dead"} else "cancelled"
        self.deliveries = [(worker, one) for worker, one in self.deliveries if one.id != job_id]
        self.entries = [(worker, entry) for worker, entry in self.entries if entry.id != job_id]

    def submit(self, jobs: list[Asked]) -> None:
        """Enqueue in one call, and apply it to the model."""
        news = [self.new_job_for(one) for one in jobs]
        answers = self.do(self.broker.store.enqueue(QUEUE, [job for job, _ in news]))
        for one, (job, expected), answer in zip(jobs, news, answers, strict=True):
            known = self.keyed.get(one.known.key) if one.known else None
            if known and one.known:
                code = EnqueueCode.REPLAYED if known[0] == one.known.fingerprint else EnqueueCode.KEY_REUSED
                assert (answer.code, answer.id) == (code, known[1])
                continue
            wanted = self.unique.submit(job.id, one.unique)
            assert (answer.code, answer.id, answer.replaced) == wanted
            if one.known and answer.code is not EnqueueCode.UNIQUE_CONFLICT:
                self.keyed[one.known.key] = one.known.fingerprint, answer.id
            if answer.code is EnqueueCode.STORED:
                self.model[job.id], self.specs[job.id] = expected, job

    def new_job_for(self, one: Asked) -> tuple[NewJob, Expected]:
        """Return a new job and what is expected of it when it is stored."""
        parents = (next(iter(self.model)),) if one.state == "blocked" and self.model else ()
        job = new_job(
            QUEUE,
            unique=one.unique,
            key=self.key_of_new,
            priority=one.priority,
            idempotency=one.known,
            delay_ms=FAR_MS if one.state == "scheduled" else None,
            expires_at_ms=LONG_AGO_MS if one.is_late and not parents else None,
            parents=Parents(parents, parents) if parents else None,
        )
        state = one.state if one.state != "blocked" or parents else "queued"
        return job, Expected(state, is_late=one.is_late and not parents, open=set(parents))

    def redrive(self, job_id: JobId) -> None:
        """Redrive a job, which takes its unique key again if no other one holds it."""
        if self.model[job_id].state == "dead" and self.unique.redrive(job_id) is ActionCode.UNIQUE_CONFLICT:
            assert self.do(self.broker.store.redrive(QUEUE, [job_id])) == [ActionCode.UNIQUE_CONFLICT]
            return
        super().redrive(job_id)

    def check(self, snapshot: Snapshot) -> None:
        """Audit the records of unique keys too, and compare the jobs that hold them with the model."""
        super().check(snapshot)
        held = self.do(audit_unique(self.broker, QUEUE, snapshot))
        assert held == {digest: job_id for digest in DIGESTS if (job_id := self.unique.holder_of(digest))}


def test_no_unique_key_has_two_jobs_or_stays_behind(redis_url: str, examples: int) -> None:
    """No order of transitions gives a unique key to two jobs, or leaves it with one that has ended or is gone."""
    machine = type("UniqueTransitionsHere", (UniqueTransitions,), {"redis_url": redis_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=50))


class ManyEnds(UniqueTransitions):
    """The rules that store unique jobs, run them and end them.

    A short search among all rules hardly ever runs a unique job: most steps change limits, or ask for what no job is
    ready for.
    """

    limit_at_first = tune = steer_breaker = deal = hold = hold_for_a_moment = end_hold = choose_key = None
    submit_at_once = enqueue = wait_for = link_again = tell = end_late = None
    save_step = take_signal = signal = call = None
    read = adopt = renew = commit = hand_back = mark_isolated = tidy = decide = None


BUGS: dict[str, Bug] = {
    name: MUTATIONS[name].bug
    for name in (
        "a success keeps its unique key",
        "a failure fills its window",
        "a dead job holds its unique key",
        "two jobs take one unique key",
    )
}
"""Mistakes that a short search finds; `test_mutations` plants each of them."""


def plant_everywhere(bug: Bug, wanted: str) -> Script:
    """Return a script by name, with the bug if it has that line: most lines are of a part that many scripts share."""
    script = load_script(wanted)
    return replace(bug, script=wanted).plant() if bug.mark in marks_of(script.text) else script


@pytest.mark.parametrize("name", BUGS)
def test_random_transitions_find_what_breaks_unique_keys(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The random transitions fail where a rule of unique keys is broken."""
    monkeypatch.setattr(script_runner, "load_script", partial(plant_everywhere, BUGS[name]))
    machine = type("ManyEndsHere", (ManyEnds,), {"redis_url": redis_url})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEARCH)
