"""The chaos suite as a program: `make chaos`, `make chaos SCENARIO=zombie`."""

import logging
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio
import click
from chaos.report import Report, heading
from chaos.runner import run_scenario
from chaos.scenario import Scenario
from chaos.scenarios import SCENARIOS

ALL = "all"
LEAST_S = 5.0
"""The least time of faults for each scenario, however many share the time."""


@click.command()
@click.option("--seconds", envvar="CHAOS_SECONDS", default=120.0, show_default=True, help="Of harm, in all.")
@click.option("--seed", envvar="CHAOS_SEED", type=int, help="Repeats the faults of a run; drawn by lot without one.")
@click.option(
    "--scenario",
    "names",
    envvar="SCENARIO",
    default="mixed",
    show_default=True,
    help=f"One of {', '.join(SCENARIOS)}; several with commas between them, or `{ALL}`.",
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to leave logs, effects and the data of Redis.")
def main(seconds: float, seed: int | None, names: str, folder: Path | None) -> None:
    """Run scenarios against real processes, and report whether the promises were kept."""
    chosen = _choose(names)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # its lines say the same as the ledger
    seed = random.randrange(1 << 32) if seed is None else seed
    click.echo(f"CHAOS_SEED={seed} CHAOS_SECONDS={seconds:g} SCENARIO={names}")
    place = folder or Path(tempfile.mkdtemp(prefix="millstream-chaos-"))
    reports = [_run(scenario, place, seed, max(LEAST_S, seconds / len(chosen))) for scenario in chosen]
    _print(reports)
    if any(report.complaints for report in reports):
        click.echo(f"\nLogs, effects and the data of Redis: {place}")
        sys.exit(1)


def _choose(names: str) -> list[Scenario]:
    wanted = list(SCENARIOS) if names == ALL else names.split(",")
    if unknown := [name for name in wanted if name not in SCENARIOS]:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(SCENARIOS)} and {ALL}")
    return [SCENARIOS[name] for name in wanted]


def _run(scenario: Scenario, place: Path, seed: int, seconds: float) -> Report:
    click.echo(f"{scenario.name}: {scenario.purpose}")

    async def run() -> Report:
        return await run_scenario(scenario, place / scenario.name, seed=seed, seconds=seconds)

    return anyio.run(run)


def _print(reports: Sequence[Report]) -> None:
    click.echo()
    for report in reports:
        click.echo("\n".join(report.details()))
    click.echo(f"\n{heading()}")
    for report in reports:
        click.echo(report.row())
    for report in reports:
        for complaint in report.complaints:
            click.echo(f"{report.scenario}: {complaint}", err=True)


if __name__ == "__main__":
    main()
