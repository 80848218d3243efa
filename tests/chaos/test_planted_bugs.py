"""The checker complains of a run with one broken script."""

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from chaos import breakers, graphs, limited, packs, quota, standstill, unique_jobs
from chaos.draining import GATE
from chaos.fleet import SMALL, Timing
from chaos.handlers import GO
from chaos.kills import zombie
from chaos.runner import run_scenario
from chaos.sabotage import BUGS
from chaos.scenario import Act, Scenario
from chaos.stage import Stage
from chaos.submitter import EVERYDAY, Wish
from msgspec.structs import replace
from waiting import wait_until

from millstream_streams.store.scripting import load_script

SEED = 7
SLOW = Wish(type="chaos.slow", seconds=(1.0, 2.0))
LONG_S = Timing().lease_s + 2.0
# What never ends need not be waited for: the checker says what is still under way.
REST_S = 5.0
STILL_S = 2.0


async def kill_a_busy_worker(stage: Stage) -> None:
    """Kill a worker that holds jobs."""
    # As many as the two can hold: so one has its hands full, of every priority.
    held = stage.timing.concurrency
    await stage.submitter.submit_many(GATE, 2 * held)
    await stage.kill(await stage.busy_worker(held))
    (stage.fleet.effects / GO).touch()


async def stop_a_busy_worker(stage: Stage) -> None:
    """Stop a worker whose jobs do not end by themselves, and then let them end."""
    await stage.submitter.submit_many(GATE, 10)
    worker = await stage.busy_worker(5)
    await stage.terminate(worker)
    await wait_until(lambda: worker.pid != worker.pids[0], "the worker has left")
    (stage.fleet.effects / GO).touch()


async def ask_three_times(stage: Stage) -> None:
    """Send every request three times."""
    stage.submitter.copies = 3
    await stage.submitter.submit_many(EVERYDAY[0], 20)


async def work(stage: Stage) -> None:
    """Run only the ordinary load."""
    await stage.submitter.submit_many(replace(EVERYDAY[3], times=(1, 1)), 10)
    await stage.submitter.submit_many(SLOW, 10)


async def work_past_a_lease(stage: Stage) -> None:
    """Hold jobs for longer than a lease, because a reaper skips a queue for one in which nothing was pending."""
    await stage.submitter.submit_many(replace(SLOW, seconds=(LONG_S, LONG_S)), 10)


async def wait_for_two(stage: Stage) -> None:
    """Have a job wait for one that ends soon and for one that takes longer."""
    parents = [await stage.submitter.submit(replace(SLOW, seconds=(one, one))) for one in (0.1, 2.0)]
    await stage.submitter.submit(replace(EVERYDAY[0], after=tuple(job_id for one in parents for job_id in one.ids)))


async def join_two(stage: Stage) -> None:
    """Have a node of a workflow wait for one that ends soon and for one that takes longer."""
    await graphs.run_one(stage, ((), (), (0, 1)), seconds=(0.1, 2.0, 0.1))


async def pack_two(stage: Stage) -> None:
    """Have a batch wait for a member that ends soon and for one that takes longer."""
    await packs.run_one(stage, [0.1, 2.0])


async def limit_one_type(stage: Stage) -> None:
    """Have more jobs wait than their type may run at once."""
    await limited.set_limit(stage)
    await stage.submitter.submit_many(replace(SLOW, seconds=(1.0, 1.0)), 2 * limited.AT_ONCE)


async def limit_one_key(stage: Stage) -> None:
    """Have more jobs of a key wait than may run at once."""
    await limited.set_limit(stage)
    await stage.submitter.submit_many(replace(SLOW, seconds=(0.1, 0.1), keys=1), 2 * limited.OF_A_KEY)


async def hold_a_tenant_to_its_quota(stage: Stage) -> None:
    """Have more jobs wait than their tenant may run at once."""
    await quota.set_quota(stage)
    await stage.submitter.submit_many(replace(SLOW, seconds=(1.0, 1.0)), 4 * quota.AT_ONCE)


async def share_keys(stage: Stage) -> None:
    """Submit more jobs than there are unique keys."""
    await stage.submitter.submit_many(replace(unique_jobs.SOLE, seconds=(1.0, 1.0)), 30)


RULES = {
    share_keys: unique_jobs.no_two_jobs_hold_a_key,
    hold_a_tenant_to_its_quota: quota.no_more_run_at_once_than_the_quota_says,
    limit_one_type: limited.no_more_run_at_once_than_the_limit_says,
    join_two: graphs.each_node_ran_once_and_in_order,
    pack_two: packs.each_callback_ran_once_and_after_all_members,
}

ACTS: dict[str, Act] = {
    "accepted-and-forgotten": work,
    "key-not-remembered": ask_three_times,
    "commit-without-fence": zombie,
    "one-parent-suffices": wait_for_two,
    "one-edge-suffices": join_two,
    "one-member-suffices": pack_two,
    "limit-not-counted": limit_one_type,
    "place-not-freed": limit_one_key,
    "quota-not-counted": hold_a_tenant_to_its_quota,
    "key-has-two-jobs": share_keys,
    "key-stays": share_keys,
    "ack-without-delete": work,
    "recovery-skips-a-stream": kill_a_busy_worker,
    "retry-lost-before-due": work,
    "hand-back-burns-a-crash": stop_a_busy_worker,
    "lease-of-others-is-taken": work_past_a_lease,
}


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_found(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with a planted bug ends with the complaint about the promise that it breaks."""
    monkeypatch.setattr("chaos.rest.REST_WITHIN_S", REST_S)
    program = ("chaos.sabotage", bug)
    scenario = Scenario(
        name=bug,
        act=ACTS[bug],
        shape=SMALL,
        timing=Timing(grace_s=0.3),
        rate_per_s=0,
        program=program,
        rules=(RULES[ACTS[bug]],) if ACTS[bug] in RULES else (),
    )
    report = await run_scenario(scenario, tmp_path, seed=SEED, seconds=1.0)
    found = [complaint.text for complaint in report.complaints if complaint.promise == BUGS[bug].promise]
    assert BUGS[bug].words in "\n".join(found), [str(complaint) for complaint in report.complaints[:10]]


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_one_still(bug: str) -> None:
    """Each planted bug still changes its script."""
    planted = BUGS[bug].bug
    assert planted.load(planted.script).text != load_script(planted.script).text


async def test_the_same_acts_keep_all_promises_when_nothing_is_broken(tmp_path: Path) -> None:
    """The same faults without a bug keep all promises."""

    async def everything(stage: Stage) -> None:
        await work(stage)
        await wait_for_two(stage)
        await kill_a_busy_worker(stage)
        await zombie(stage)

    scenario = Scenario(name="sound", act=everything, shape=SMALL, rate_per_s=0)
    report = await run_scenario(scenario, tmp_path, seed=SEED, seconds=1.0)
    assert [str(complaint) for complaint in report.complaints] == []


async def test_jobs_that_stand_still_beside_idle_workers_are_seen(tmp_path: Path) -> None:
    """The watch of the circuit breaker complains when workers that have room start nothing."""

    async def freeze_workers(stage: Stage) -> None:
        await breakers.set_breaker(stage)
        async with AsyncExitStack() as stack:
            for worker in stage.fleet.of("worker"):
                await stack.enter_async_context(stage.frozen(worker))
            await stage.submitter.submit_many(breakers.BRITTLE, 5)
            with anyio.move_on_after(2 * STILL_S):
                await standstill.watch(stage, breakers.BREAKABLE, STILL_S)

    scenario = Scenario(name="still", act=freeze_workers, shape=SMALL, rate_per_s=0)
    report = await run_scenario(scenario, tmp_path, seed=SEED, seconds=1.0)
    assert "beside idle workers" in "\n".join(str(complaint) for complaint in report.complaints)
