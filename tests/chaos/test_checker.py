"""Every rule of the checker accepts sound evidence, and complains in words of other evidence."""

from collections.abc import Callable

import pytest
from chaos import breakers, checker, draining, durables, kills, lateness, limited, poison, recount, story, unique_jobs
from chaos.checker import RULES, Rule, check
from chaos.evidence import Evidence, Refusal
from chaos.excuses import unexcused
from chaos.handmade import (
    JOB,
    NAMES,
    ONE,
    OTHER,
    REAPER,
    RECOVERED,
    STARTED,
    SUBMITTED,
    SUCCEEDED,
    TWICE,
    accepted,
    counted,
    effect,
    handed_back,
    once,
    record,
    refused,
    retried,
    steps,
    twice,
    with_effects,
    with_job,
    with_ledger,
    with_steps,
    zombie,
)
from chaos.journal import EVERYTHING, Fault
from chaos.ledger import Ledger, Verdict
from chaos.unique_names import UniqueName
from msgspec.structs import replace

LATER = "chaos.slow_3"
"""A job that ends after the one of the evidence has begun."""

SOLE = next(name for name in (f"k{number:x}" for number in range(9)) if UniqueName.of(name).scope == "running")
"""The name of a job that holds its unique key until it ends."""


def of_one_key(begun_ms: int) -> Evidence:
    """Return a run of two jobs with one unique key: the first one ends at 20 ms, and the other is stored then."""
    return Evidence(
        ledger=Ledger([replace(accepted(job_id), key=SOLE) for job_id in (JOB, LATER)]),
        effects={
            JOB: [effect("started"), effect("done", at_ms=20)],
            LATER: [replace(effect(event, at_ms=begun_ms), job=LATER) for event in ("started", "done")],
        },
        jobs={job_id: replace(record(), id=job_id, type=unique_jobs.TYPE, key=SOLE) for job_id in (JOB, LATER)},
        steps={
            JOB: steps((SUBMITTED, 0, 0), (STARTED, ONE, 10), (SUCCEEDED, ONE, 20)),
            LATER: steps(
                (SUBMITTED, 0, begun_ms), (STARTED, ONE, begun_ms), (SUCCEEDED, ONE, begun_ms + 5), job_id=LATER
            ),
        },
        services=NAMES,
    )


def of_a_call(steps_kept: int = 3, children: int = 1, results: str = "x") -> Evidence:
    """Return a run of a durable job that has kept some of its steps with these results, and called jobs."""
    taken = ("first", "second", "third")[:steps_kept]
    kept = [replace(effect("kept"), step=f"{step}={result}") for step in taken for result in results]
    called = {f"child {number}": replace(record(), key=f"child of {record().key}") for number in range(children)}
    return replace(once(), effects={JOB: kept}, jobs={JOB: replace(record(), type=durables.DURABLE.type), **called})


def side_by_side() -> Evidence:
    """Return a run in which one more job of the batch handler ran than its limit says, all at once."""
    names = [f"{limited.PACKED.type}_{number}" for number in range(limited.AT_ONCE_OF_PACKED + 1)]
    return replace(once(), effects={name: [effect("started"), effect("done", at_ms=50)] for name in names})


SOUND: tuple[Callable[[], Evidence], ...] = (once, twice, zombie, handed_back, retried, counted)

BROKEN: tuple[tuple[Rule, str, Evidence], ...] = (
    (checker.accepted_jobs_exist, "is nowhere", replace(once(), jobs={})),
    (
        checker.accepted_jobs_exist,
        "chaos.child_1 was submitted by",
        with_effects(once(), effect("submitted", child="chaos.child_1")),
    ),
    (checker.every_job_ends, "never ended: it is running", with_job(once(), state="running")),
    (checker.every_job_ends, "dead for no reason", with_job(once(), state="dead")),
    (checker.every_job_ends_as_it_must, "is dead crashed", with_job(once(), state="dead", reason="crashed")),
    (checker.every_job_ends_as_it_must, "should be dead attempts", with_job(once(), type="chaos.hopeless")),
    (checker.budgets_are_kept, "7 attempts of 6", with_job(once(), attempts=7)),
    (checker.budgets_are_kept, "21 crashes of 20", with_job(once(), crashes=21)),
    (checker.budgets_are_kept, "given up after 5 attempts", with_job(once(), reason="attempts", attempts=5)),
    (checker.budgets_are_kept, "given up after 3 crashes", with_job(once(), reason="crashed", crashes=3)),
    (checker.refused_jobs_do_not_exist, "was refused and made 1", with_ledger(once(), refused(422))),
    (checker.refused_jobs_do_not_exist, "was refused and made 1", with_ledger(once(), refused(503, "store-full"))),
    (checker.one_key_makes_one_job, "made 2 jobs", replace(once(), jobs={JOB: record(), "another": record()})),
    (
        checker.one_key_makes_one_job,
        "answered with different jobs",
        with_ledger(once(), accepted("a", "b")),
    ),
    (
        checker.a_parent_has_one_child,
        "2 jobs for `child of it`",
        replace(once(), jobs={name: replace(record(), key="child of it") for name in (JOB, "another")}),
    ),
    (checker.every_job_was_submitted, "no submission has made", with_job(once(), key="who")),
    (checker.success_has_its_effect, "its work was done by []", replace(once(), effects={})),
    (checker.success_has_its_effect, "delivery 2, and its work was done by [1]", with_job(once(), done_token="2:n")),
    (checker.the_last_delivery_commits, "delivery 1 of 2: a zombie was let in", with_job(twice(), done_token="1:n")),
    (
        checker.refused_commits_are_those_of_zombies,
        "was refused 1 times",
        replace(once(), refusals=[Refusal(JOB, ONE)]),
    ),
    (checker.refused_commits_are_those_of_zombies, "and was not refused", replace(zombie(), refusals=[])),
    (checker.no_delivery_runs_twice, "delivery 1 ran 2 times", with_effects(once(), effect("started"))),
    (checker.no_delivery_runs_twice, "delivery 2 ran, and there were 1", with_effects(once(), effect("started", 2))),
    (unexcused, "was recovered after 3.5 s", replace(twice(), faults=[])),
    (unexcused, "was recovered after", replace(twice(), faults=[Fault("kill", "worker-2", 500, 500, OTHER)])),
    (unexcused, "was recovered after", replace(twice(), faults=[Fault("kill", "worker-1", 4_000, 4_000, ONE)])),
    (unexcused, "was handed_back after", replace(handed_back(), faults=[])),
    (
        lateness.crashed_workers_jobs_are_soon_ready,
        "9.5 s after its worker worker-1 had died, and 3.5 s are promised",
        with_steps(twice(), *TWICE[:2], (RECOVERED, 0, 10_000), (STARTED, OTHER, 10_001)),
    ),
    (lateness.due_jobs_are_soon_ready, "was released 9.0 s after it was due", retried(9_020, 9_030)),
    (lateness.ready_jobs_soon_start, "was ready for 9.0 s before a worker took it", retried(100, 9_100)),
    (recount.workers_count_what_they_commit, "counted 2 attempts chaos.quick ok, and events tell of 1", counted(ok=2)),
    (recount.workers_count_what_they_commit, "counted 0 attempts chaos.quick ok, and events tell of 1", counted(ok=0)),
    (recount.workers_count_what_they_commit, "counted 0 finished jobs", counted(succeeded=0)),
    (recount.workers_count_their_refusals, "counted 1 stale attempts, and logged 0", counted(stale=1)),
    (recount.workers_time_what_waits, "counted 0 waits, and events tell of 1", counted(waits=0)),
    (recount.workers_time_what_waits, "counted waits of 10.0 s, and events tell of 0.0 s", counted(waited_s=10.0)),
    (recount.reapers_count_what_they_recover, "counted 1 chaos.quick recovered, and", counted(recovered=1)),
    (
        recount.reapers_count_what_they_recover,
        "counted none recovered, and events tell of 1 chaos.quick",
        replace(twice(), counters=counted().counters),
    ),
    (recount.ingests_count_what_they_answer, "counted 0 accepted jobs, and answered 1", counted(accepted=0)),
    (recount.ingests_count_what_they_answer, "counted 2 accepted jobs, and answered 1", counted(accepted=2)),
    (
        checker.none_starts_before_its_parents,
        f"{JOB} started before chaos.slow_2 had ended",
        with_ledger(once(), replace(accepted(), after=("chaos.slow_2",))),
    ),
    (
        checker.none_starts_before_its_parents,
        f"{JOB} started before {LATER} had ended",
        replace(
            with_ledger(once(), replace(accepted(), after=(LATER,))),
            steps={**once().steps, LATER: steps(*TWICE, job_id=LATER)},
        ),
    ),
    (checker.every_job_is_in_one_place, "stands at []", replace(once(), misplaced=["it stands at []"])),
    (checker.everything_comes_to_rest, "still under way", replace(once(), unrest=["still under way"])),
    (
        story.steps_are_legal,
        "event 2 has version 3",
        replace(once(), steps={JOB: [once().steps[JOB][0], once().steps[JOB][2]]}),
    ),
    (
        story.steps_are_legal,
        "it was succeeded, and then succeeded",
        with_steps(once(), *TWICE[:2], (SUCCEEDED, ONE, 1), (SUCCEEDED, OTHER, 2)),
    ),
    (story.steps_are_legal, "it was not there, and then running", with_steps(once(), (STARTED, ONE, 1))),
    (story.ends_agree, "end with succeeded, and Redis holds queued", with_job(once(), state="queued")),
    (story.ends_agree, "end with nothing", replace(once(), steps={})),
    (story.counts_agree, "tell of 1 attempts, and Redis of 2", with_job(once(), attempts=2)),
    (story.counts_agree, "tell of 1 crashes, and Redis of 0", with_job(twice(), crashes=0)),
    (story.counts_agree, "tell of 1 deliveries, and Redis of 2", with_job(once(), deliveries=2)),
    (story.counts_agree, "tell of 1 handbacks, and Redis of 0", with_job(handed_back(), handbacks=0)),
    (kills.a_zombie_was_refused, "no commit was refused", twice()),
    (draining.none_waits_for_a_lease, "waited for a lease to run out", twice()),
    (draining.none_waits_for_a_lease, "no job was handed back", once()),
    (unique_jobs.no_two_jobs_hold_a_key, f"{LATER} got the key `running", of_one_key(18)),
    (unique_jobs.no_two_jobs_of_a_key_run_at_once, "ran at once", of_one_key(18)),
    (unique_jobs.keys_were_in_the_way, "no job was replaced: nothing was shown", once()),
    (breakers.attempts_were_spared, "nothing was shown", once()),
    (durables.steps_never_change, "step first gave x, y", of_a_call(results="xy")),
    (durables.steps_never_change, "no step was taken", once()),
    (durables.steps_are_taken, "first=x was kept, and given by no run", of_a_call()),
    (durables.each_call_is_one_job, "succeeded with the steps first, second", of_a_call(steps_kept=2)),
    (durables.each_call_is_one_job, "has 0 jobs of its call", of_a_call(children=0)),
    (durables.each_call_is_one_job, "has 2 jobs of its call", of_a_call(children=2)),
    (limited.no_more_of_gathered_jobs_run_at_once, "7 jobs of chaos.gathered ran at once", side_by_side()),
    (limited.no_more_of_gathered_jobs_run_at_once, "nothing was shown", once()),
    (poison.neighbours_were_there, "no other job ever ran beside", once()),
)


@pytest.mark.parametrize("sound", SOUND, ids=lambda sound: sound.__name__)
def test_checker_says_nothing_of_a_run_that_kept_its_promises(sound: Callable[[], Evidence]) -> None:
    """The checker accepts each effect of a fault that is in the journal."""
    assert check(sound()) == []


@pytest.mark.parametrize(("rule", "words", "broken"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_rule_complains_in_words_of_what_breaks_it(rule: Rule, words: str, broken: Evidence) -> None:
    """Each complaint names the job and what is wrong with it."""
    assert words in "\n".join(rule(broken))


@pytest.mark.parametrize(("begun_ms", "is_excused"), [(60, False), (50, True), (20, True)])
def test_what_a_failover_overtook_is_not_counted_beside_others(begun_ms: int, *, is_excused: bool) -> None:
    """A delivery that a failover met may run beside another one, because Redis may have lost its place."""
    failover = Fault("primary killed", EVERYTHING, begun_ms, 70)
    found = list(limited.no_more_of_gathered_jobs_run_at_once(replace(side_by_side(), faults=[failover])))
    assert ("at once, and the limit" in "\n".join(found)) is not is_excused


def test_a_durable_job_with_its_steps_and_its_call_is_sound() -> None:
    """A durable job that kept each step, and has one job of its call, is no violation."""
    assert list(durables.each_call_is_one_job(of_a_call())) == []


def test_a_key_may_have_one_job_after_the_other() -> None:
    """A job that is stored in the millisecond in which another one with its unique key ends is no violation."""
    rules = (unique_jobs.no_two_jobs_hold_a_key, unique_jobs.no_two_jobs_of_a_key_run_at_once)
    assert [complaint for rule in rules for complaint in rule(of_one_key(20))] == []


def test_every_rule_is_shown_to_complain() -> None:
    """Every rule has evidence here that it complains of."""
    assert {rule for rules in RULES.values() for rule in rules} <= {rule for rule, _, _ in BROKEN}


def test_a_complaint_names_the_promise_that_was_broken() -> None:
    """A complaint has the number of the broken promise."""
    [complaint] = check(replace(once(), unrest=["something"]))
    assert str(complaint) == "[places] something"


def test_a_scenario_adds_rules_of_its_own_and_waives_others_by_name() -> None:
    """A scenario may add rules and waive others by name, and the remaining ones still apply."""
    broken = replace(twice(), faults=[])
    assert [one.promise for one in check(broken, [kills.a_zombie_was_refused], ["unexcused"])] == ["scenario"]


def test_a_submission_of_unknown_fate_may_have_made_a_job_or_not() -> None:
    """A submission with an uncertain 503 or without a response may have made a job or not."""
    for entry in (refused(503, "store-unreachable"), refused(0)):
        assert entry.verdict is Verdict.UNKNOWN
        assert check(with_ledger(once(), entry)) == []
        assert check(with_ledger(Evidence(ledger=Ledger()), entry)) == []


def test_a_request_that_was_never_answered_leaves_its_submission_unknown() -> None:
    """One request without a response leaves its submission unknown, however certain the other responses are."""
    assert replace(refused(422), sent=2).verdict is Verdict.UNKNOWN


def test_what_was_handed_back_unrun_needs_no_excuse() -> None:
    """A job that was handed back before its handler began needs no excuse."""
    unrun = replace(handed_back(), faults=[])
    unrun.effects[JOB] = [one for one in unrun.effects[JOB] if one.fence == 2]
    assert list(unexcused(unrun)) == []


@pytest.mark.parametrize("waits", [0, 1, 2])
def test_what_was_handed_back_unrun_may_have_been_timed_or_not(waits: int) -> None:
    """A worker times the wait of a job that it runs, and of one that it hands back while the process starts."""
    given_back = replace(handed_back(), counters=counted(ok=0, succeeded=0, waits=waits).counters, faults=[])
    assert bool(list(recount.workers_time_what_waits(given_back))) is (waits != 1)
    given_back.effects[JOB] = [one for one in given_back.effects[JOB] if one.fence == 2]
    assert bool(list(recount.workers_time_what_waits(given_back))) is (waits == 2)


def test_a_claim_that_arrives_after_its_sender_has_died_needs_no_other_excuse() -> None:
    """A claim that a half-open link delivers after the death of its sender is excused by that death."""
    late = with_steps(twice(), (SUBMITTED, 0, 0), (STARTED, ONE, 9_000), (RECOVERED, 0, 12_500), *TWICE[3:])
    assert list(unexcused(late)) == []
    assert list(lateness.crashed_workers_jobs_are_soon_ready(late)) == []


def test_counters_of_a_process_that_a_fault_met_may_tell_of_less_and_never_of_more() -> None:
    """The counters of a process that a fault met may be lower than the recount, and never higher."""
    met = [Fault("cut", name, 5, 5) for name in ("worker-1", "reaper-1")]
    for less in (counted(ok=0), counted(succeeded=0), counted(waits=0)):
        assert check(replace(less, faults=met)) == []
    recovered = replace(twice(), counters={REAPER: {}})
    assert check(replace(recovered, faults=[*recovered.faults, *met])) == []
    for more in (counted(ok=2), counted(succeeded=2), counted(waits=2), counted(recovered=1)):
        assert [one.promise for one in check(replace(more, faults=met))] == ["metrics"]


def test_an_ingest_may_have_counted_what_it_could_not_answer() -> None:
    """An ingest may have counted a job whose response the client never got."""
    unanswered = replace(accepted(), answers=[*accepted().answers, refused(0).answers[0]], sent=2)
    assert check(with_ledger(counted(accepted=2), unanswered)) == []


def test_a_late_start_or_release_is_excused_by_what_hindered_it() -> None:
    """A late start or release is excused by a fault of the services for it, or by workers without a free slot."""
    for late, kind in ((retried(9_020, 9_030), "dispatcher-1"), (retried(100, 9_100), "worker-2")):
        for target in (kind, EVERYTHING):
            assert check(replace(late, faults=[Fault("refuse", target, 5_000, 6_000)])) == []
    assert check(replace(retried(100, 9_100), slots=0)) == []


def test_what_hits_everything_excuses_every_worker() -> None:
    """A fault of everything excuses every worker."""
    assert list(unexcused(replace(twice(), faults=[Fault("redis killed", EVERYTHING, 100, 900)]))) == []


def test_a_late_recovery_is_excused_when_the_reapers_were_hindered() -> None:
    """A late recovery is excused by a fault of the reapers, which give leases time after an outage."""
    late = (SUBMITTED, 0, 0), (STARTED, ONE, 10), (RECOVERED, 0, 10_000), (STARTED, OTHER, 10_001)
    for target in (EVERYTHING, "reaper-1"):
        faults = [*twice().faults, Fault("refuse", target, 600, 2_000)]
        assert (
            list(lateness.crashed_workers_jobs_are_soon_ready(with_steps(replace(twice(), faults=faults), *late))) == []
        )


def test_a_zombie_that_died_before_it_could_commit_need_not_be_refused() -> None:
    """A zombie that died before its commit needs no refusal."""
    died = replace(zombie(), refusals=[], faults=[*zombie().faults, Fault("kill", "worker-1", 4_001, 4_001, ONE)])
    assert list(checker.refused_commits_are_those_of_zombies(died)) == []


def test_a_zombie_that_knew_of_its_loss_need_not_be_refused() -> None:
    """A zombie that logged the loss of its lease needs no refusal."""
    # The log does not say which process of the place it was: all are named.
    told = replace(zombie(), refusals=[Refusal(JOB, pid, given_up=True) for pid in (ONE, OTHER)])
    assert list(checker.refused_commits_are_those_of_zombies(told)) == []


def test_a_job_that_waited_to_run_alone_is_not_charged_for_the_death_of_its_worker() -> None:
    """A job may have one crash fewer than its events, because no event says whether it waited to run alone."""
    assert list(story.counts_agree(replace(with_job(twice(), crashes=1), max_crashes=2))) == []
    waited = with_steps(twice(), *TWICE[:3], *TWICE[1:])
    assert list(story.counts_agree(replace(with_job(waited, crashes=1, deliveries=3), max_crashes=2))) == []
