"""Tests the tests: with one line of a script broken, a test fails, and the random transitions find it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from chaos.sabotage import BUGS
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec import Struct
from streams import (
    test_cancel,
    test_claim,
    test_commit,
    test_dead_letters,
    test_dependents,
    test_enqueue,
    test_expire,
    test_hand_back,
    test_mark_isolated,
    test_measure,
    test_recover,
    test_release_due,
    test_renew,
)
from streams.audit import audit
from streams.planting import Bug, marks_of
from streams.script_reader import PARTS, source
from streams.test_state_machine import Transitions

from millstream_contracts import DEFAULT_TENANT, JobType, Priority, Queue, Succeeded
from millstream_streams import Broker, open_broker
from millstream_streams.store import job_store
from millstream_streams.store.scripting import FLEET, load_script, script_names

Test = Callable[[Broker, Queue], Awaitable[None]]


class Mutation(Struct, frozen=True):
    """A bug, and the test that has to fail, by itself or in the audit after it."""

    bug: Bug
    test: Test


refuses_a_zombie = partial(test_commit.test_commit_refuses_a_zombie, outcome=Succeeded())
commits_a_retry = partial(
    test_commit.test_commit_moves_the_job_to_where_its_outcome_says, name="retry", priority=Priority.NORMAL
)
recovers_low = partial(test_recover.test_recover_makes_the_job_of_a_silent_worker_ready, priority=Priority.LOW)

MUTATIONS = {
    "commit does not compare the token": Mutation(
        Bug("commit", "no-fence", "local is_ours = state == 'running'"), refuses_a_zombie
    ),
    "a retry is scheduled and not put into due": Mutation(Bug("commit", "not-in-due"), commits_a_retry),
    "hand_back acknowledges without deleting": Mutation(
        Bug("hand_back", "entry-stays"), test_hand_back.test_hand_back_makes_the_job_ready_at_once
    ),
    "recover skips the low stream": Mutation(
        Bug("recover", "stream-skipped", "local cursor = index == 3 and '' or ARGV[5 + index]"), recovers_low
    ),
    "commit forgets the last token": Mutation(
        Bug("commit", "last-token-forgotten"),
        partial(test_commit.test_commit_changes_nothing_when_sent_again, outcome=Succeeded()),
    ),
    "commit acknowledges without deleting": Mutation(Bug("commit", "ack-without-delete"), commits_a_retry),
    "commit takes one token twice in a call": Mutation(
        Bug("commit", "twice-in-a-call", "local is_repeated = false"),
        partial(test_commit.test_commit_counts_a_job_once_when_one_call_names_it_twice, outcome=Succeeded()),
    ),
    "commit does not ask whether the job is to end": Mutation(
        Bug("commit", "cancellation-forgotten", "local is_cancelled = false"),
        partial(test_commit.test_commit_ends_a_job_whose_cancellation_was_asked_for, name="retry"),
    ),
    "commit takes any token of a job that succeeded": Mutation(
        Bug("commit", "any-token", "return true"),
        test_commit.test_commit_refuses_a_zombie_of_a_job_that_succeeded,
    ),
    "renew takes the lease of a job that has ended": Mutation(
        Bug("renew", "not-running", "local is_running = true"),
        test_renew.test_renew_refuses_a_job_that_succeeded_though_its_entry_is_pending,
    ),
    "hand_back does not compare the token": Mutation(
        Bug("hand_back", "no-fence", "local is_ours = state == 'running'"),
        test_hand_back.test_hand_back_refuses_a_zombie,
    ),
    "recover buries no job": Mutation(
        Bug("recover", "never-buried", "local is_poison = false"),
        test_recover.test_recover_buries_a_job_that_has_crashed_too_often,
    ),
    "recover charges a job that had not begun": Mutation(
        Bug("recover", "charged-before-it-began", "local has_begun = true"),
        test_recover.test_recover_charges_nothing_for_an_entry_that_was_read_but_not_claimed,
    ),
    "recover charges a job that waited to run alone": Mutation(
        Bug("recover", "charged-while-isolated", "local has_waited = false"),
        test_mark_isolated.test_a_job_that_waits_to_run_alone_is_charged_no_crash,
    ),
    "mark_isolated does not compare the token": Mutation(
        Bug("mark_isolated", "no-fence", "local is_ours = state == 'running'"),
        test_mark_isolated.test_mark_isolated_refuses_a_zombie_and_what_is_gone,
    ),
    "renew does not ask who holds the entry": Mutation(
        Bug("renew", "another-s-entry", "local has_entry = pending[1] ~= nil"),
        test_renew.test_renew_refuses_the_right_token_in_other_hands,
    ),
    "claim gives one job twice": Mutation(
        Bug("claim", "given-twice"),
        partial(test_claim.test_claim_gives_a_read_entry_once_when_it_resumes_too, limit=0),
    ),
    "claim runs a late job": Mutation(
        Bug("claim", "late-jobs-run", "local is_late = false"),
        test_claim.test_claim_expires_a_job_whose_time_is_over,
    ),
    "claim takes what another has read": Mutation(
        Bug("claim", "another-s-entry", "return pending[1] ~= nil"),
        test_claim.test_claim_takes_no_entry_that_another_worker_read,
    ),
    "claim makes groups from the end": Mutation(
        Bug("claim", "group-from-the-end", "redis.call('XGROUP', 'CREATE', ready[index], GROUP, '$', 'MKSTREAM')"),
        test_measure.test_measure_counts_the_jobs_of_each_place,
    ),
    "cancel leaves the entry": Mutation(
        Bug("cancel", "entry-stays"),
        partial(test_cancel.test_cancel_ends_a_waiting_job_at_once, options={}),
    ),
    "redrive leaves the dead letter": Mutation(
        Bug("redrive", "letter-stays"),
        test_dead_letters.test_redrive_makes_a_dead_job_ready_counted_from_zero,
    ),
    "redrive keeps the crashes": Mutation(
        Bug("redrive", "crashes-stay"), test_dead_letters.test_redrive_gives_a_crashed_job_its_crashes_back
    ),
    "discard keeps the job for ever": Mutation(
        Bug("discard", "immortal"), test_dead_letters.test_discard_lets_a_dead_job_go
    ),
    "release_due leaves the job in due": Mutation(
        Bug("release_due", "stays-due"),
        partial(test_release_due.test_release_due_makes_a_due_job_ready, priority=Priority.NORMAL),
    ),
    "expire ends a job that has started": Mutation(
        Bug("expire", "started-jobs-expire", "local is_waiting = true"),
        test_expire.test_expire_leaves_a_job_that_has_started,
    ),
    "enqueue forgets idempotency keys": Mutation(
        Bug("enqueue", "key-not-stored"), test_enqueue.test_enqueue_honours_an_idempotency_key_within_one_call
    ),
    "enqueue stores an id twice": Mutation(
        Bug("enqueue", "stored-twice", "local is_resent = false"),
        test_enqueue.test_enqueue_stores_nothing_twice_when_sent_again,
    ),
    "a job that runs is started again by a late message": Mutation(
        Bug("resolve", "started-twice"),
        test_dependents.test_a_job_that_runs_is_not_started_again_by_a_late_message,
    ),
    "the first parent starts its child": Mutation(
        Bug("resolve", "first-parent-suffices"),
        test_dependents.test_a_child_starts_when_its_last_parent_has_succeeded,
    ),
    "a dead parent cancels its child": Mutation(
        Bug("resolve", "dead-ends"), test_dependents.test_a_redriven_parent_lets_its_child_go_on
    ),
    "news are ended without a look at the version": Mutation(
        Bug("end_news", "any-version"), test_dependents.test_what_happens_between_take_and_end_is_told_too
    ),
    "the end of a parent is told to nothing": Mutation(
        Bug("commit", "not-in-outbox"), test_dependents.test_a_child_starts_when_its_last_parent_has_succeeded
    ),
    "enqueue stores what comes too late": Mutation(
        Bug("enqueue", "never-late", "local is_late = false"),
        test_enqueue.test_enqueue_gives_a_job_no_second_life,
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
    """Yield a broker whose keys are not checked at the end, because broken scripts run on it."""
    async with open_broker(redis_url, namespace=namespace) as opened:
        yield opened
        async for key in opened.client.scan_iter(match=f"{namespace}:*", count=1000):
            await opened.client.delete(key)


async def run(test: Test, broker: Broker, queue: Queue) -> None:
    """Run a test as pytest does, with the audit at its end."""
    await test(broker, queue)
    await audit(broker, queue)


def test_every_mark_in_a_script_is_that_of_a_bug_and_stands_once() -> None:
    """Every mark in a script belongs to a bug, and every bug has its mark once."""
    bugs = [*(mutation.bug for mutation in MUTATIONS.values()), *(sabotage.bug for sabotage in BUGS.values())]
    for bug in bugs:
        assert bug.plant().text != load_script(bug.script).text
    used: dict[str, set[str]] = {}
    for bug in bugs:
        used.setdefault(bug.script, set()).add(bug.mark)
    for name in [*script_names(), *script_names(FLEET)]:
        assert set(marks_of(source(name))) <= used.get(name, set()), name
    in_parts = {mark for part in PARTS for mark in marks_of(source(f"_{part}"))}
    assert in_parts <= set().union(*used.values())


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_broken_script_turns_a_test_red(doomed: Broker, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The test of a rule passes with the script as it is, and fails with the rule broken."""
    mutation, queue = MUTATIONS[name], Queue(DEFAULT_TENANT, JobType("email.send"))
    mutation.bug.plant()
    await run(mutation.test, doomed, queue)
    await doomed.client.delete(*[key async for key in doomed.client.scan_iter(match=f"{doomed.keys.namespace}:*")])
    monkeypatch.setattr(job_store, "load_script", mutation.bug.load)
    with pytest.raises((AssertionError, ValueError)):
        await run(mutation.test, doomed, queue)


@pytest.mark.parametrize("name", list(MUTATIONS)[:4])
def test_random_transitions_find_a_broken_script(redis_url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The random transitions fail on a broken script."""
    monkeypatch.setattr(job_store, "load_script", MUTATIONS[name].bug.load)
    machine = type("TransitionsHere", (Transitions,), {"redis_url": redis_url})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEARCH)
