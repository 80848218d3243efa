"""The command `stats`: how many jobs came and ended, and how long they took."""

from datetime import timedelta

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.lengths import Length
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import lasting, printable
from millstream_contracts import StatPoint, Stats, StatsByType, TypeStats


@click.command()
@click.option("--type", help="Only jobs of this type.")
@click.option("--since", type=Length(), default="1h", show_default=True, help="How far to look back: 90m, 6h, 14d.")
@click.option("--step", type=Length(), help="Length of a line: 1m, 5m, 1h. One that suits the time by default.")
@click.option("--by-type", is_flag=True, help="A line a job type, for all of the time.")
@url_option
@json_option
@client_errors
def stats(
    type: str | None, since: timedelta, step: timedelta | None, *, by_type: bool, url: str | None, as_json: bool
) -> None:
    """Show how many jobs came and ended, and how long they took.

    Of the history, which a server has that knows MILLSTREAM_HISTORY_URL.
    """
    if by_type and type:
        raise click.UsageError("--type shows one type over time and --by-type shows all: give one of the two")
    with connect(url) as client:
        found: Stats | StatsByType = (
            client.stats_by_type(since=since, step=step) if by_type else client.stats(type=type, since=since, step=step)
        )
    if as_json:
        print_json(found)
        return
    rows = _rows_of(found)
    columns = ("submitted", "succeeded", "retried", "dead", "wait p50", "p95", "run p50", "p95")
    first = "type" if by_type else "from (UTC)"
    print_table("statistics", (first, *columns), rows, f"nothing happened within {lasting(since.total_seconds())}")
    if isinstance(found, StatsByType) and not found.complete:
        click.echo("the busiest types only: there are more")
    for one in found.releases if isinstance(found, Stats) else ():
        click.echo(f"{one.at:%Y-%m-%d %H:%M} UTC: release {printable(one.release)}")
    for gap in found.gaps:
        click.echo(f"events were lost from {gap.begin:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC")


def _rows_of(found: Stats | StatsByType) -> list[tuple[object, ...]]:
    if isinstance(found, Stats):
        return [(f"{point.at:%Y-%m-%d %H:%M}", *_numbers(point)) for point in found.points if _has_any(point)]
    return [(one.type, *_numbers(one)) for one in found.items]


def _has_any(point: StatPoint) -> bool:
    ends = (point.succeeded, point.retried, point.dead, point.cancelled, point.expired)
    return any((point.submitted, point.started, *ends))


def _numbers(point: StatPoint | TypeStats) -> tuple[object, ...]:
    durations = (point.wait_p50_ms, point.wait_p95_ms, point.run_p50_ms, point.run_p95_ms)
    return (
        point.submitted,
        point.succeeded,
        point.retried,
        point.dead,
        *("" if one is None else lasting(one / 1000) for one in durations),
    )
