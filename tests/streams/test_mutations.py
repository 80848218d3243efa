"""Tests the tests: with one line of a script broken, a test fails, and the random transitions find it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from chaos.sabotage import BUGS
from dispatcher.batches.test_planted_bugs import BUGS as BUGS_OF_BATCHES
from dispatcher.workflows.test_planted_bugs import BUGS as BUGS_OF_WORKFLOWS
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec import Struct
from streams import (
    test_breaker,
    test_budgets,
    test_calls,
    test_cancel,
    test_cap,
    test_claim,
    test_commit,
    test_dead_letters,
    test_declared_limits,
    test_dependents,
    test_enqueue,
    test_expire,
    test_gate,
    test_hand_back,
    test_holds,
    test_is_idle,
    test_mark_isolated,
    test_measure,
    test_recover,
    test_release_due,
    test_renew,
    test_singles,
    test_steps,
    test_tenant_quotas,
    test_tenants,
    test_unique,
)
from streams.audit import audit
from streams.gate_audit import audit_gate
from streams.planting import Bug, marks_of
from streams.script_reader import PARTS, source
from streams.test_state_machine import Transitions

from millstream_contracts import DEFAULT_TENANT, JobType, Priority, Queue, Succeeded
from millstream_streams import Broker, open_broker
from millstream_streams.store import script_runner
from millstream_streams.store.scripting import BATCHES, FLEET, WORKFLOWS, load_script, script_names

Test = Callable[[Broker, Queue], Awaitable[None]]


class Mutation(Struct, frozen=True):
    """A bug, and the test that has to fail, by itself or in the audit after it."""

    bug: Bug
    test: Test


refuses_a_zombie = partial(test_commit.test_commit_refuses_a_zombie, outcome=Succeeded())
frees_a_key = partial(test_unique.test_each_end_frees_the_key, scope="running", end=test_unique.succeeds)
frees_a_slot = partial(test_gate.test_each_end_of_a_delivery_frees_its_slot, outcome=Succeeded())
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
    "is_idle does not see what a group has to read": Mutation(
        Bug("is_idle", "unread-events-are-none"),
        partial(test_is_idle.test_a_queue_with_work_is_not_idle, fill=test_is_idle.an_unread_event),
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
    "a key whose rate is free later is forgotten": Mutation(
        Bug("release_due", "forgets-who-waits"), test_gate.test_a_key_is_woken_after_another_has_taken_the_mark
    ),
    "an older worker declares limits": Mutation(
        Bug("tune", "older-declares", "local is_older = false"),
        test_declared_limits.test_the_worker_that_started_last_counts,
    ),
    "declared limits overrule an operator": Mutation(
        Bug("tune", "declared-overrules", "local is_overruled = false"),
        test_declared_limits.test_an_operator_overrules_until_that_is_removed,
    ),
    "declared limits end with those of an operator": Mutation(
        Bug("tune", "declared-is-forgotten"), test_declared_limits.test_an_operator_overrules_until_that_is_removed
    ),
    "a late dealer gives what a later one has given": Mutation(
        Bug("deal", "late-deals", "local is_late = false"),
        lambda broker, _: test_budgets.test_a_dealer_that_was_overtaken_changes_nothing(broker),
    ),
    "a part of a rate that grows lets jobs start": Mutation(
        Bug("deal", "starts-are-gained", "  local free = at_once"),
        lambda broker, _: test_budgets.test_no_more_start_than_the_rate_lets_whatever_is_dealt(broker),
    ),
    "a queue takes more than its part of a quota": Mutation(
        Bug("claim", "beyond-its-quota"),
        lambda broker, _: test_tenant_quotas.test_no_more_jobs_of_a_tenant_run_than_its_quota_says(broker),
    ),
    "a queue keeps a place for what no worker takes": Mutation(
        Bug("deal_quota", "keeps-what-lies-ready"),
        lambda broker, _: test_tenant_quotas.test_a_queue_without_workers_holds_no_place(broker),
    ),
    "a late process leaves a queue with no part of a quota that is gone": Mutation(
        Bug("deal_quota", "late-deals", "  local is_late = false"),
        lambda broker, _: test_tenant_quotas.test_a_queue_that_was_late_is_not_left_with_nothing(broker),
    ),
    "a deal that was overtaken forgets who has parts": Mutation(
        Bug("end_deal", "forgets-who-has-parts", "local is_last = true"),
        lambda broker, _: test_tenant_quotas.test_a_dealer_does_not_forget_what_a_later_one_has_dealt(broker),
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
    "a queue with limits wakes no worker": Mutation(
        Bug("enqueue", "no-bell", "local may = false"), test_gate.test_one_job_is_let_in_to_wake_a_worker
    ),
    "a second job of a key shares the list of those that are alone": Mutation(
        Bug("enqueue", "always-alone", "return true"), test_singles.test_they_are_read_as_jobs_in_lanes_are
    ),
    "a job that was alone of its key is cancelled and stays in the list": Mutation(
        Bug("cancel", "leaves-a-ghost", "local was_single = false"), test_singles.test_one_may_leave_from_the_middle
    ),
    "a job that was alone of its key is lost when its key is full": Mutation(
        Bug("claim", "kept-out-for-ever"),
        partial(test_singles.test_one_whose_key_is_kept_out_waits_in_its_lane, limits={"kc": 1}),
    ),
    "a claim draws more than the limit": Mutation(
        Bug("claim", "unlimited"), test_gate.test_no_more_jobs_run_at_once_than_the_limit_says
    ),
    "a success keeps its unique key": Mutation(Bug("commit", "key-stays"), frees_a_key),
    "a job frees a unique key that another one has": Mutation(
        Bug("cancel", "another-s-key", "local holder = id"), test_unique.test_scope_queued_ends_with_the_first_delivery
    ),
    "a failure fills its window": Mutation(
        Bug("commit", "failures-fill-the-window", "local is_kept = scope == 'window'"),
        partial(test_unique.test_each_end_frees_the_key, scope="window", end=test_unique.gives_up),
    ),
    "a dead job holds its unique key": Mutation(
        Bug("commit", "dead-hold-their-keys"),
        partial(test_unique.test_each_end_frees_the_key, scope="running", end=test_unique.dies),
    ),
    "a result goes before its window ends": Mutation(
        Bug("commit", "result-before-its-window"), test_unique.test_a_result_can_be_read_for_its_whole_window
    ),
    "two jobs take one unique key": Mutation(
        Bug("enqueue", "two-holders", "if true then return nil end"),
        test_unique.test_return_stores_nothing_and_names_the_holder,
    ),
    "a job that has ended holds a unique key": Mutation(
        Bug("enqueue", "stuck-behind-the-dead", "if not state then return false end"),
        partial(test_unique.test_a_job_that_has_ended_is_no_holder, end=test_unique.gives_up),
    ),
    "any job that a record names holds the key": Mutation(
        Bug("enqueue", "garbage-holds"),
        partial(
            test_unique.test_nothing_that_is_lost_or_written_leaves_a_key_stuck,
            scope="running",
            loss="another job",
        ),
    ),
    "a window has no end": Mutation(
        Bug("enqueue", "window-for-ever", "if scope == 'window' then return true end"),
        partial(test_unique.test_a_window_ends_by_the_clock, has_ended=False),
    ),
    "a job that has started holds a key of scope queued": Mutation(
        Bug("enqueue", "started-jobs-hold", "return true"), test_unique.test_scope_queued_ends_with_the_first_delivery
    ),
    "a job that has started is replaced": Mutation(
        Bug("enqueue", "retries-are-replaced", "local has_started = false"),
        partial(test_unique.test_replace_leaves_a_job_that_has_started, state="retrying"),
    ),
    "a job is redriven beside another with its key": Mutation(
        Bug("redrive", "redriven-beside-another", "take_unique(id, digest, held_until, now)"),
        partial(test_unique.test_redrive_is_refused_while_another_job_holds_the_key, scope="running"),
    ),
    "a commit keeps the slot of its job": Mutation(Bug("commit", "slot-leaks"), frees_a_slot),
    "a key that was full stays out": Mutation(Bug("commit", "full-for-ever"), frees_a_slot),
    "a lane joins at the head of the ring": Mutation(
        Bug("commit", "joins-at-the-head", "args[2 * at - 1] = string.format('%.6f', tonumber(head[2]) or 0)"),
        test_gate.test_a_lane_that_comes_and_goes_does_not_starve_the_one_that_stays,
    ),
    "a rate that is spent wakes no dispatcher": Mutation(
        Bug("claim", "sleeps-on"), test_gate.test_starts_are_spread_by_the_rate
    ),
    "jobs of a held type start": Mutation(
        Bug("claim", "held-type-starts"),
        partial(test_holds.test_no_job_of_a_type_starts_that_a_handler_holds_back, kind="gated"),
    ),
    "jobs of a held key start": Mutation(
        Bug("claim", "held-key-starts", "if true then return wanted end"),
        partial(test_holds.test_only_the_jobs_of_a_held_key_wait, kind="gated"),
    ),
    "a job that was read starts in a held type": Mutation(
        Bug(
            "claim",
            "held-jobs-start",
            "  if true then adopt(index, entry, id, key) end",
        ),
        partial(test_holds.test_a_job_that_a_worker_has_read_waits_as_well, kind="plain"),
    ),
    "a job that was read starts in a suspended queue": Mutation(
        Bug("claim", "suspended-jobs-start", "  local may_not_start = held_until > now"),
        partial(test_tenants.test_no_job_of_a_suspended_queue_starts, kind="plain"),
    ),
    "a job whose read was lost starts in a suspended queue": Mutation(
        Bug("claim", "lost-reads-start", "        adopt(index, item[1], fields[2], fields[4])"),
        partial(test_tenants.test_no_job_starts_in_a_suspended_queue_whose_read_was_lost, kind="plain"),
    ),
    "a snooze holds no type back": Mutation(
        Bug("commit", "type-is-not-held"),
        partial(test_holds.test_no_job_of_a_type_starts_that_a_handler_holds_back, kind="plain"),
    ),
    "a hold of a key is made shorter": Mutation(
        Bug("commit", "key-is-not-held", "  local stored = redis.pcall('ZADD', held, unpack(args))"),
        test_holds.test_a_hold_is_never_made_shorter,
    ),
    "a queue forgets a held key that has no jobs": Mutation(
        Bug("commit", "leaves-a-hold", "    local is_used = next(flow) ~= nil or lanes.all_parked() > 0"),
        test_holds.test_the_gate_of_a_held_key_leaves_by_itself,
    ),
    "a breaker never opens": Mutation(
        Bug("commit", "never-opens", "local is_failing = false"),
        test_breaker.test_a_breaker_opens_when_its_share_of_attempts_has_failed,
    ),
    "an open breaker lets jobs in": Mutation(
        Bug("claim", "lets-in-while-open", "return wanted"),
        test_breaker.test_a_breaker_opens_when_its_share_of_attempts_has_failed,
    ),
    "a job that lay ready starts while the breaker is open": Mutation(
        Bug("claim", "starts-while-open", "    may_start = true"),
        test_breaker.test_a_job_that_was_let_in_before_waits_as_well,
    ),
    "a breaker that has cooled down stays open": Mutation(
        Bug("release_due", "open-for-ever", "local is_over = false"),
        test_breaker.test_the_end_of_the_cool_down_wakes_a_dispatcher,
    ),
    "a half-open breaker lets any number in": Mutation(
        Bug("claim", "any-number-of-probes", "if known == 'half' then return wanted end"),
        test_breaker.test_a_few_jobs_are_tried_when_it_has_cooled_down,
    ),
    "the end of an old job counts as a probe's": Mutation(
        Bug("commit", "any-end-is-a-probe", "local is_probe = true"),
        test_breaker.test_late_ends_of_old_jobs_are_no_probes,
    ),
    "a probe that fails changes nothing": Mutation(
        Bug("commit", "probes-may-fail"), test_breaker.test_a_probe_that_fails_opens_it_again_for_longer
    ),
    "crashes are no failures": Mutation(
        Bug("recover", "crashes-do-not-count"), test_breaker.test_deaths_and_crashes_are_failures
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
    "the steps of a job stay when it has ended": Mutation(
        Bug("commit", "steps-stay"), partial(test_steps.test_steps_go_with_the_end_of_their_job, outcome=Succeeded())
    ),
    "save_step does not compare the token": Mutation(
        Bug("save_step", "no-fence", "local is_ours = true"), test_steps.test_save_step_refuses_a_zombie
    ),
    "save_step changes what is stored": Mutation(
        Bug("save_step", "steps-change", "local is_kept = false"), test_steps.test_save_step_keeps_what_it_has_stored
    ),
    "a job has any number of steps": Mutation(
        Bug("await_step", "any-number-of-steps"), test_steps.test_steps_are_bounded_in_number
    ),
    "await_step does not compare the token": Mutation(
        Bug("await_step", "no-fence", "local is_ours = true"), test_steps.test_await_step_refuses_a_zombie
    ),
    "a signal is taken twice": Mutation(
        Bug("await_step", "signal-taken-twice"), test_steps.test_await_step_takes_a_signal_that_has_come_before
    ),
    "commit misses a signal that has come meanwhile": Mutation(
        Bug("commit", "signal-missed"),
        test_steps.test_commit_loses_no_signal_that_comes_between_look_and_wait,
    ),
    "a job that has ended takes signals": Mutation(
        Bug("signal", "signals-after-the-end"), test_steps.test_signal_refuses_a_job_that_has_ended
    ),
    "a signal wakes no job": Mutation(
        Bug("signal", "waiter-sleeps-on", "local is_awaited = false"),
        test_steps.test_signal_makes_a_job_ready_that_waits_for_it,
    ),
    "a called job is forgotten before its caller looks": Mutation(
        Bug("commit", "called-jobs-vanish"), test_calls.test_a_called_job_is_kept_until_its_caller_has_its_result
    ),
    "enqueue stores jobs above the cap": Mutation(
        Bug("enqueue", "above-its-cap"), test_cap.test_jobs_above_the_cap_are_refused
    ),
    "enqueue stores jobs above the cap of a key": Mutation(
        Bug("enqueue", "above-the-cap-of-its-key"), test_cap.test_jobs_above_the_cap_of_their_key_are_refused
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
    await audit_gate(broker, queue, await audit(broker, queue))


def test_every_mark_in_a_script_is_that_of_a_bug_and_stands_once() -> None:
    """Every mark in a script belongs to a bug, and every bug has its mark once."""
    bugs = [*(mutation.bug for mutation in MUTATIONS.values()), *(sabotage.bug for sabotage in BUGS.values())]
    bugs += [bug for bug, _ in (*BUGS_OF_WORKFLOWS.values(), *BUGS_OF_BATCHES.values())]
    for bug in bugs:
        assert bug.plant().text != load_script(bug.script).text
    used: dict[str, set[str]] = {}
    for bug in bugs:
        used.setdefault(bug.script, set()).add(bug.mark)
    for name in [*script_names(), *script_names(FLEET), *script_names(WORKFLOWS), *script_names(BATCHES)]:
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
    monkeypatch.setattr(script_runner, "load_script", mutation.bug.load)
    with pytest.raises((AssertionError, ValueError)):
        await run(mutation.test, doomed, queue)


@pytest.mark.parametrize("name", list(MUTATIONS)[:4])
def test_random_transitions_find_a_broken_script(redis_url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The random transitions fail on a broken script."""
    monkeypatch.setattr(script_runner, "load_script", MUTATIONS[name].bug.load)
    machine = type("TransitionsHere", (Transitions,), {"redis_url": redis_url})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=SEARCH)
