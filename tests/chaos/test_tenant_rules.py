"""Every rule of the scenario of tenants accepts a sound run, and complains in words of any other; bugs are found."""

from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from chaos import tenant_rules
from chaos.checker import Rule
from chaos.evidence import Evidence
from chaos.fleet import SMALL
from chaos.handmade import JOB, STARTED, SUBMITTED, SUCCEEDED, accepted, effect, once, record, steps
from chaos.history_keeper import HistoryKeeper
from chaos.journal import EVERYTHING, Fault
from chaos.ledger import Answer, Ledger
from chaos.runner import run_scenario
from chaos.scenario import Scenario
from chaos.stage import Stage
from chaos.tenancy import Change, Deletion, KeyLife, KeyUse, Suspension, Tenancy
from chaos.tenant_bugs import TENANT_BUGS
from chaos.tenants import INITECH, TENANTS, TIMING, run_tenants
from msgspec.structs import replace
from topologies.postgres import find_postgres

from millstream_contracts import AuditOutcome, AuditRecord, Tenant

ACME = Tenant("acme")
QUICK = "chaos.quick_00"
THEIRS, LATER = f"{QUICK}{'A' * 26}", f"{QUICK}{'B' * 26}"
"""Two jobs of the suspended tenant: one that ends before the suspension, and one that waits for its end."""
SUSPENDED_MS, RESUMED_MS = 10_000, 20_000
ENDED_MS = 1_000
LONG_AFTER_MS = 9_000
SEED = 7


def entry_of(name: str, *answers: Answer) -> Ledger:
    """Return the ledger of one submission of the suspended tenant."""
    return Ledger([replace(accepted(), key=name, tenant=INITECH, answers=list(answers))])


def change(number: int, status: int = 200) -> Change:
    """Return a change that was answered so."""
    return Change(f"chaos-{number}", "POST /v1/keys", ACME, 100, status, 200)


def told(number: int, status: int = 200, name: str = "") -> AuditRecord:
    """Return the record of a change."""
    return AuditRecord(
        id=name or f"au_{number}",
        tenant=ACME,
        at=datetime(2026, 11, 28, tzinfo=UTC),
        action="createKey",
        outcome=AuditOutcome.DONE,
        request_id=f"chaos-{number}",
        status=status,
        seq=number,
        previous="",
        hash="",
    )


def sound() -> Evidence:
    """Return a run in which each rule had something to look at, and none was broken."""
    key = KeyLife("k", "text", ACME, 0, ending_ms=500, ended_ms=ENDED_MS)
    gone = Ledger([accepted()])
    tenancy = Tenancy(
        keys={"k": key},
        uses=[
            KeyUse("k", 100, 110, 200),
            KeyUse("k", 120, 130, 404, job=JOB),
            KeyUse("k", LONG_AFTER_MS, LONG_AFTER_MS + 10, 401),
        ],
        suspensions=[Suspension(INITECH, SUSPENDED_MS, RESUMED_MS)],
        deletion=Deletion(Tenant("hooli"), SUSPENDED_MS, ledger=gone, effects=[effect("started")]),
        changes=[change(1), change(2, 0), change(3, 401)],
        trail=[told(1)],
        verified=1,
    )
    return replace(
        once(),
        ledger=Ledger([accepted(), *entry_of("k2", Answer(15_001, 0.01, 403, problem="tenant-suspended")).entries]),
        jobs={
            JOB: record(),
            **{name: replace(record(), id=name, tenant=INITECH) for name in (THEIRS, LATER)},
        },
        steps={
            **once().steps,
            THEIRS: steps((SUBMITTED, 0, 0), (STARTED, 10, 9_999), (SUCCEEDED, 10, 11_000), job_id=THEIRS),
            LATER: steps((SUBMITTED, 0, 9_999), (STARTED, 10, 20_001), (SUCCEEDED, 10, 20_010), job_id=LATER),
        },
        tenancy=tenancy,
    )


def with_tenancy(**other: object) -> Evidence:
    """Return the sound run with other records."""
    return replace(sound(), tenancy=replace(sound().tenancy, **other))


def with_answers(*answers: Answer) -> Evidence:
    """Return the sound run in which the suspended tenant was answered so."""
    return replace(sound(), ledger=Ledger([accepted(), *entry_of("k2", *answers).entries]))


def with_start(at_ms: int, stored_ms: int = 9_999) -> Evidence:
    """Return the sound run in which the one job that there is of the suspended tenant starts at another time."""
    story = steps((SUBMITTED, 0, stored_ms), (STARTED, 10, at_ms), (SUCCEEDED, 10, at_ms + 1), job_id=LATER)
    return replace(sound(), steps={**once().steps, LATER: story})


QUOTA = Answer(0, 0.01, 429, problem="tenant-backlog-full")
CERTAIN = replace(sound().tenancy.uses[0], at_ms=LONG_AFTER_MS, answered_ms=LONG_AFTER_MS + 10)

BROKEN: tuple[tuple[Rule, str, Evidence], ...] = (
    (
        tenant_rules.jobs_are_of_their_submitters,
        "was submitted by initech",
        replace(sound(), ledger=Ledger([replace(accepted(), tenant=INITECH)])),
    ),
    (
        tenant_rules.jobs_are_of_their_submitters,
        "and its parent of default",
        replace(sound(), effects={JOB: [effect("submitted", child=THEIRS)]}),
    ),
    (tenant_rules.ended_keys_are_refused, "had ended 8.0 s ago: answered 200", with_tenancy(uses=[CERTAIN])),
    (
        tenant_rules.ended_keys_are_refused,
        "had ended 8.0 s ago: answered 429",
        with_tenancy(uses=[replace(CERTAIN, status=429, problem="tenant-backlog-full")]),
    ),
    (tenant_rules.ended_keys_are_refused, "nothing was shown", with_tenancy(uses=[])),
    (tenant_rules.live_keys_are_taken, "and was refused", with_tenancy(uses=[KeyUse("k", 100, 110, 401)])),
    (
        tenant_rules.no_tenant_sees_another,
        "to the key `k` of another tenant",
        with_tenancy(uses=[KeyUse("k", 1, 2, 200, job=JOB)]),
    ),
    (tenant_rules.no_tenant_sees_another, "nothing was shown", with_tenancy(uses=[])),
    (tenant_rules.nothing_of_a_suspended_tenant_starts, "started 0.0 s after initech", with_start(10_001)),
    (tenant_rules.nothing_of_a_suspended_tenant_starts, "started 8.0 s after initech", with_start(18_000, 10_100)),
    (
        tenant_rules.a_suspended_tenant_submits_nothing,
        "was accepted while initech was suspended",
        with_answers(Answer(15_001, 0.01, 202, id=THEIRS)),
    ),
    (tenant_rules.a_suspended_tenant_submits_nothing, "nothing was shown", with_answers()),
    (
        tenant_rules.nothing_of_a_deleted_tenant_goes_on,
        "after the deletion of hooli was answered",
        with_tenancy(deletion=replace(sound().tenancy.deletion, effects=[effect("started", at_ms=13_001)])),
    ),
    (
        tenant_rules.nothing_of_a_deleted_tenant_goes_on,
        "delivery 1 ran 2 times",
        with_tenancy(deletion=replace(sound().tenancy.deletion, effects=[effect("started")] * 2)),
    ),
    (tenant_rules.nothing_of_a_deleted_tenant_goes_on, "nothing was shown", with_tenancy(deletion=None)),
    (tenant_rules.quotas_were_hit, "nothing was shown", sound()),
    (tenant_rules.each_change_has_one_record, "was answered 200, and has 0 records", with_tenancy(trail=[])),
    (
        tenant_rules.each_change_has_one_record,
        "was answered 200, and has 2 records",
        with_tenancy(trail=[told(1), told(1, name="au_4")]),
    ),
    (
        tenant_rules.each_change_has_one_record,
        "(chaos-2) was answered 0, and has 2 records",
        with_tenancy(trail=[told(1), told(2), told(2)]),
    ),
    (tenant_rules.each_change_has_one_record, "says 409", with_tenancy(trail=[told(1, 409)])),
    (
        tenant_rules.each_change_has_one_record,
        "has no end on record",
        with_tenancy(trail=[], begun=["chaos-1"]),
    ),
    (
        tenant_rules.each_change_has_one_record,
        "the end of the deletion of hooli has 0 records",
        with_tenancy(deletion=replace(sound().tenancy.deletion, is_done=True)),
    ),
    (tenant_rules.no_record_is_there_twice, "acme has 2 records au_1", with_tenancy(trail=[told(1), told(1)])),
    (tenant_rules.chains_are_whole, "it was altered", with_tenancy(faults=["it was altered"])),
    (tenant_rules.chains_are_whole, "1 records were verified, and there are 0", with_tenancy(trail=[])),
)


@pytest.mark.parametrize("rule", [rule for rule in tenant_rules.RULES if rule is not tenant_rules.quotas_were_hit])
def test_rule_of_tenants_says_nothing_of_a_sound_run(rule: Rule) -> None:
    """Each rule accepts what a tenant may do, and what is not certain."""
    assert list(rule(sound())) == []


@pytest.mark.parametrize(("rule", "words", "broken"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_rule_of_tenants_complains_in_words_of_what_breaks_it(rule: Rule, words: str, broken: Evidence) -> None:
    """Each complaint names the key, the job or the change, and what is wrong with it."""
    assert words in "\n".join(rule(broken))


def test_every_rule_of_tenants_is_shown_to_complain() -> None:
    """Every rule of tenants has evidence here that it complains of."""
    assert set(tenant_rules.RULES) == {rule for rule, _, _ in BROKEN}


def test_what_is_above_a_quota_is_shown() -> None:
    """One submission above a quota is enough to have shown it."""
    assert list(tenant_rules.quotas_were_hit(with_answers(QUOTA))) == []


def test_a_change_whose_end_redis_did_not_take_needs_no_end() -> None:
    """The begin alone is enough for a change that was answered while Redis was away."""
    away = replace(with_tenancy(trail=[], begun=["chaos-1"]), faults=[Fault("redis killed", EVERYTHING, 150, 160)])
    assert list(tenant_rules.each_change_has_one_record(away)) == []


@pytest.mark.parametrize("at_ms", [15_001, 19_999])
def test_a_queue_that_is_used_for_the_first_time_is_closed_a_little_later(at_ms: int) -> None:
    """A queue whose first job comes after the suspension has the grace of a look of ingest and of dispatchers."""
    complaints = list(tenant_rules.nothing_of_a_suspended_tenant_starts(with_start(at_ms, 10_100)))
    assert bool(complaints) is (at_ms > 17_500)


@pytest.mark.skipif(find_postgres() is None, reason="there is no PostgreSQL on this machine")
async def test_every_bug_of_tenants_is_found(tmp_path: Path) -> None:
    """Each bug of keys, tenants and the audit trail has its complaint."""

    async def without_faults(stage: Stage) -> None:
        await run_tenants(stage, lambda stage: anyio.sleep(stage.seconds))

    scenario = Scenario(
        name="tenant-bugs",
        act=without_faults,
        shape=SMALL,
        timing=replace(TIMING, more=TIMING.more | {"DELETION_SETTLES_S": "0"}),
        history=HistoryKeeper,
        tenants=TENANTS,
        rate_per_s=0,
        rules=tenant_rules.RULES,
        program=("chaos.tenant_bugs",),
    )
    report = await run_scenario(scenario, tmp_path, seed=SEED, seconds=3.0)
    found = {
        name
        for name, bug in TENANT_BUGS.items()
        if any(one.promise == bug.promise and bug.words in one.text for one in report.complaints)
    }
    assert found == TENANT_BUGS.keys(), "\n".join(str(complaint) for complaint in report.complaints[:20])


@pytest.mark.parametrize("name", TENANT_BUGS)
def test_a_bug_of_tenants_has_its_place(name: str) -> None:
    """Each bug still replaces a method of the product."""
    assert hasattr(TENANT_BUGS[name].owner, TENANT_BUGS[name].method)
