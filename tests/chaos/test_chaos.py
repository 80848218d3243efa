"""A short run of the main faults; the long one is `make chaos`."""

from pathlib import Path

import anyio
from chaos.kills import HELD_JOBS
from chaos.mixed import mixed
from chaos.runner import run_scenario
from chaos.scenario import Scenario
from chaos.scenarios import SCENARIOS
from chaos.stage import Stage
from chaos.submitter import Wish
from click.testing import CliRunner

SEED = 20_261_123
SECONDS = 12.0


async def the_main_faults(stage: Stage) -> None:
    """Cause a zombie, a drain and a restart of Redis, and then random faults by the seed."""
    await stage.submitter.submit_many(Wish(type="chaos.slow", seconds=(1.0, 5.0)), 3 * HELD_JOBS)
    await stage.kill(stage.any_of("ingest"))
    async with stage.frozen(await stage.busy_worker(1)), stage.away(stage.any_of("dispatcher"), "swallow"):
        await anyio.sleep(stage.timing.lease_s + stage.timing.interval_s)
    await stage.terminate(stage.any_of("worker"))
    async with stage.redis_dead():
        await anyio.sleep(0.5)
    await mixed(stage)


async def test_promises_are_kept_when_everything_goes_wrong(tmp_path: Path) -> None:
    """Under random faults, what nine processes accepted ends once and for the right reason."""
    scenario = Scenario(name="short", act=the_main_faults, rate_per_s=30.0)
    report = await run_scenario(scenario, tmp_path, seed=SEED, seconds=SECONDS)
    assert [str(complaint) for complaint in report.complaints] == []
    assert report.accepted > 100
    assert report.states["succeeded"] > 100
    assert {"kill", "freeze", "terminate", "redis killed"} <= report.faults.keys()


def test_every_scenario_says_what_it_is_for() -> None:
    """Every scenario has a purpose of one sentence, for the program and the docs."""
    assert [name for name, scenario in SCENARIOS.items() if not scenario.purpose.endswith(".")] == []


def test_guarantees_name_every_scenario() -> None:
    """docs/guarantees.md names every scenario."""
    page = (Path(__file__).parents[2] / "docs" / "guarantees.md").read_text(encoding="utf-8")
    assert [name for name in SCENARIOS if f"`{name}`" not in page] == []


def test_a_scenario_that_does_not_exist_is_refused_by_name() -> None:
    """An unknown scenario is refused with the known names."""
    from chaos.__main__ import main

    result = CliRunner().invoke(main, ["--scenario", "zombies"])
    assert result.exit_code == 2
    assert "zombies: there are" in result.output
    assert "zombie, drain" in result.output
