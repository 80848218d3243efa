"""The checker notices what no job shows: waits that are too long, what is held or left, and wrong metrics."""

from pathlib import Path

import anyio
import pytest
from chaos.fleet import Shape, Timing
from chaos.handlers import GO
from chaos.quiet_bugs import QUIET_BUGS
from chaos.report import Report
from chaos.runner import run_scenario
from chaos.scenario import Scenario
from chaos.stage import Stage
from chaos.submitter import Wish

SEED = 7
TIMING = Timing(lease_s=2.0, interval_s=0.3, grace_s=0.3, gauges_every_s=0.5, concurrency=10)
QUICK, HOPELESS, SPREAD = Wish(type="chaos.quick"), Wish(type="chaos.hopeless"), Wish(type="chaos.spread")
DELAYED = Wish(type="chaos.quick", delay_s=(0.2, 0.3))
LONG = Wish(type="chaos.slow", seconds=(2 * TIMING.lease_s, 2 * TIMING.lease_s))


async def everything_that_is_needed(stage: Stage) -> None:
    """Cause what each bug needs to show: late jobs, a dead one, repeated keys, a lost worker."""
    await stage.submitter.submit(HOPELESS)
    for wish in (QUICK, DELAYED):
        await stage.submitter.submit_many(wish, 10)
    stage.submitter.copies = 2
    await stage.submitter.submit_many(SPREAD, 10)
    stage.submitter.copies = 1
    await anyio.sleep(2 * TIMING.lease_s + 2 * TIMING.interval_s + 1.0)
    (stage.fleet.effects / GO).touch()
    await stage.submitter.submit_many(LONG, 6)
    await stage.kill(await stage.busy_worker(2, LONG.type))


async def run(folder: Path, program: tuple[str, ...]) -> Report:
    """Run the same faults with or without the bugs."""
    shape = Shape(ingest=2, dispatcher=1, worker=2, reaper=1)
    scenario = Scenario(
        name="quiet", act=everything_that_is_needed, shape=shape, timing=TIMING, rate_per_s=0, program=program
    )
    return await run_scenario(scenario, folder, seed=SEED, seconds=1.0)


async def test_every_quiet_bug_is_found(tmp_path: Path) -> None:
    """Each quiet bug has its complaint, and every job ends as it should."""
    report = await run(tmp_path, ("chaos.quiet_bugs",))
    found = {
        name
        for name, bug in QUIET_BUGS.items()
        if any(one.promise == bug.promise and bug.words in one.text for one in report.complaints)
    }
    assert found == QUIET_BUGS.keys(), "\n".join(str(complaint) for complaint in report.complaints)


@pytest.mark.parametrize("name", QUIET_BUGS)
def test_a_quiet_bug_has_its_place(name: str) -> None:
    """Each quiet bug still replaces a method of the product."""
    assert hasattr(QUIET_BUGS[name].owner, QUIET_BUGS[name].method)
