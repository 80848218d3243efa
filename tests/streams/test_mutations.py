"""The tests are tested: with one line of a script broken, a test goes red, and the random transitions find it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec import Struct
from streams import (
    test_cancel,
    test_claim,
    test_commit,
    test_dead_letters,
    test_enqueue,
    test_expire,
    test_hand_back,
    test_measure,
    test_recover,
    test_release_due,
    test_renew,
    test_set_apart,
)
from streams.audit import audit
from streams.test_state_machine import Transitions

from millstream_contracts import DEFAULT_TENANT, JobType, Priority, Queue, Succeeded
from millstream_streams import Broker, open_broker
from millstream_streams.store import job_store
from millstream_streams.store.scripting import Script, load_script

Test = Callable[[Broker, Queue], Awaitable[None]]


class Mutation(Struct, frozen=True):
    """A mistake that somebody could make in a script."""

    script: str
    right: str
    wrong: str
    test: Test
    """What has to go red, by itself or in the audit after it."""

    def load(self, wanted: str) -> Script:
        """Return a script, this one with the mistake in it."""
        script = load_script(wanted)
        if wanted != self.script:
            return script
        assert self.right in script.text, f"{self.script}.lua has changed: mend this mutation"
        # Under a name that the server does not know: it knows the right one by its own.
        return Script(name=wanted, text=script.text.replace(self.right, self.wrong), sha="0" * 40)


refuses_a_zombie = partial(test_commit.test_commit_refuses_a_zombie, outcome=Succeeded())
commits_a_retry = partial(
    test_commit.test_commit_moves_the_job_to_where_its_outcome_says, name="retry", priority=Priority.NORMAL
)
recovers_low = partial(test_recover.test_recover_makes_the_job_of_a_silent_worker_ready, priority=Priority.LOW)

MUTATIONS = {
    "commit does not compare the token": Mutation(
        "commit", "job[1] == 'running' and job[2] == token", "job[1] == 'running'", refuses_a_zombie
    ),
    "a retry is scheduled and not put into due": Mutation(
        "commit", "redis.call('ZADD', due, int(run_at), id)", "", commits_a_retry
    ),
    "hand_back acknowledges without deleting": Mutation(
        "hand_back",
        "redis.call('XDEL', stream, entry)",
        "",
        test_hand_back.test_hand_back_makes_the_job_ready_at_once,
    ),
    "recover skips the low stream": Mutation(
        "recover", "cursor == '' and ''", "(cursor == '' or index == 3) and ''", recovers_low
    ),
    "commit forgets the last token": Mutation(
        "commit",
        "elseif was_committed(",
        "elseif false and was_committed(",
        partial(test_commit.test_commit_changes_nothing_when_sent_again, outcome=Succeeded()),
    ),
    "commit acknowledges without deleting": Mutation(
        "commit", "redis.call('XDEL', ready[index], unpack(entries[index]))", "", commits_a_retry
    ),
    "commit takes one token twice in a call": Mutation(
        "commit",
        "seen[id] == token",
        "false",
        partial(test_commit.test_commit_counts_a_job_once_when_one_call_names_it_twice, outcome=Succeeded()),
    ),
    "commit does not ask what was before": Mutation(
        "commit",
        "if job[5] ~= '2' then",
        "if false then",
        partial(test_commit.test_commit_ends_a_job_whose_cancellation_was_asked_for, name="retry"),
    ),
    "commit takes any token of a job that succeeded": Mutation(
        "commit",
        "return held == token",
        "return true",
        test_commit.test_commit_refuses_a_zombie_of_a_job_that_succeeded,
    ),
    "renew takes the lease of a job that has ended": Mutation(
        "renew",
        "job[3] == 'running' and ",
        "",
        test_renew.test_renew_refuses_a_job_that_succeeded_though_its_entry_is_pending,
    ),
    "hand_back does not compare the token": Mutation(
        "hand_back", " or job[2] ~= token", "", test_hand_back.test_hand_back_refuses_a_zombie
    ),
    "recover buries no job": Mutation(
        "recover",
        "crashes >= max_crashes",
        "false",
        test_recover.test_recover_buries_a_job_that_has_crashed_too_often,
    ),
    "recover charges a job that had not begun": Mutation(
        "recover",
        "local crashed = job[1] == 'running' and job[11] ~= job[12]",
        "local crashed = true",
        test_recover.test_recover_charges_nothing_for_an_entry_that_was_read_but_not_claimed,
    ),
    "recover charges a job that waited to run alone": Mutation(
        "recover",
        " and job[11] ~= job[12]",
        "",
        test_set_apart.test_a_job_that_waits_to_run_alone_is_charged_no_crash,
    ),
    "set_apart does not compare the token": Mutation(
        "set_apart",
        " and job[2] == token",
        "",
        test_set_apart.test_set_apart_refuses_a_zombie_and_what_is_gone,
    ),
    "renew does not ask who holds the entry": Mutation(
        "renew",
        " and pending[1][2] == consumer",
        "",
        test_renew.test_renew_refuses_the_right_token_in_other_hands,
    ),
    "claim gives one job twice": Mutation(
        "claim",
        "if given[id] then return end",
        "",
        partial(test_claim.test_claim_gives_a_read_entry_once_when_it_resumes_too, limit=0),
    ),
    "claim runs a late job": Mutation(
        "claim",
        "if expires_at and expires_at <= now then",
        "if false then",
        test_claim.test_claim_expires_a_job_whose_time_is_over,
    ),
    "claim takes what another has read": Mutation(
        "claim",
        " and pending[1][2] == consumer",
        "",
        test_claim.test_claim_takes_no_entry_that_another_worker_read,
    ),
    "claim makes groups from the end": Mutation(
        "claim",
        "GROUP, '0', 'MKSTREAM'",
        "GROUP, '$', 'MKSTREAM'",
        test_measure.test_measure_counts_the_jobs_of_each_place,
    ),
    "cancel leaves the entry": Mutation(
        "cancel",
        "drop_entry(ready[stream_index(job[3])], job[2])",
        "",
        partial(test_cancel.test_cancel_ends_a_waiting_job_at_once, options={}),
    ),
    "redrive leaves the dead letter": Mutation(
        "redrive",
        "redis.call('XDEL', dlq, job[2])",
        "",
        test_dead_letters.test_redrive_makes_a_dead_job_ready_counted_from_zero,
    ),
    "redrive keeps the crashes": Mutation(
        "redrive", "'crashes', ", "", test_dead_letters.test_redrive_gives_a_crashed_job_its_crashes_back
    ),
    "discard keeps the job for ever": Mutation(
        "discard",
        "redis.call('PEXPIRE', key, ttl_ms)",
        "",
        test_dead_letters.test_discard_lets_a_dead_job_go,
    ),
    "release_due leaves the job in due": Mutation(
        "release_due",
        "redis.call('ZREM', due, unpack(ids))",
        "",
        partial(test_release_due.test_release_due_makes_a_due_job_ready, priority=Priority.NORMAL),
    ),
    "expire ends a job that has started": Mutation(
        "expire", "job[1] == 'queued'", "true", test_expire.test_expire_leaves_a_job_that_has_started
    ),
    "enqueue forgets idempotency keys": Mutation(
        "enqueue",
        "if idempotency_key ~= '' then",
        "if false then",
        test_enqueue.test_enqueue_honours_an_idempotency_key_within_one_call,
    ),
    "enqueue stores an id twice": Mutation(
        "enqueue",
        "redis.call('EXISTS', unpack(keys)) > 0",
        "false",
        test_enqueue.test_enqueue_stores_nothing_twice_when_sent_again,
    ),
}

# Without a search for the shortest example: that it is found is enough. Derandomized, so that it is found each time.
SEARCH = settings(
    max_examples=200,
    stateful_step_count=50,
    phases=[Phase.generate],
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.quiet,
)


@pytest.fixture
async def doomed(redis_url: str, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker whose keys nobody looks at: what a broken script leaves behind is not the point."""
    async with open_broker(redis_url, namespace=namespace) as opened:
        yield opened
        async for key in opened.client.scan_iter(match=f"{namespace}:*", count=1000):
            await opened.client.delete(key)


async def run(test: Test, broker: Broker, queue: Queue) -> None:
    """Run a test as pytest does, with the audit at its end."""
    await test(broker, queue)
    await audit(broker, queue)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_broken_script_turns_a_test_red(doomed: Broker, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A test that stays green with the rule broken tests nothing."""
    mutation, queue = MUTATIONS[name], Queue(DEFAULT_TENANT, JobType("email.send"))
    await run(mutation.test, doomed, queue)
    await doomed.client.delete(*[key async for key in doomed.client.scan_iter(match=f"{doomed.keys.namespace}:*")])
    monkeypatch.setattr(job_store, "load_script", mutation.load)
    with pytest.raises((AssertionError, ValueError)):
        await run(mutation.test, doomed, queue)


@pytest.mark.parametrize("name", list(MUTATIONS)[:4])
def test_random_transitions_find_a_broken_script(redis_url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nobody has to think of the case beforehand."""
    monkeypatch.setattr(job_store, "load_script", MUTATIONS[name].load)
    machine = type("TransitionsHere", (Transitions,), {"redis_url": redis_url})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEARCH)
