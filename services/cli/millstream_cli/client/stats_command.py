"""The command `stats`: how many jobs came and ended, and how long they took."""

from datetime import timedelta

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.lengths import Length
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import lasting
from millstream_contracts import StatPoint


@click.command()
@click.option("--type", help="Only jobs of this type.")
@click.option("--since", type=Length(), default="1h", show_default=True, help="How far to look back: 90m, 6h, 14d.")
@click.option("--step", type=Length(), help="Length of a line: 1m, 5m, 1h. One that suits the time by default.")
@url_option
@json_option
@client_errors
def stats(type: str | None, since: timedelta, step: timedelta | None, *, url: str | None, as_json: bool) -> None:
    """Show how many jobs came and ended, and how long they took.

    Of the history, which a server has that knows MILLSTREAM_HISTORY_URL.
    """
    with connect(url) as client:
        found = client.stats(type=type, since=since, step=step)
    if as_json:
        print_json(found)
        return
    columns = ("from (UTC)", "submitted", "succeeded", "retried", "dead", "wait p50", "p95", "run p50", "p95")
    rows = [_row(point) for point in found.points if _has_any(point)]
    print_table("statistics", columns, rows, f"nothing happened within {lasting(since.total_seconds())}")
    for gap in found.gaps:
        click.echo(f"events were lost from {gap.begin:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC")


def _has_any(point: StatPoint) -> bool:
    ends = (point.succeeded, point.retried, point.dead, point.cancelled, point.expired)
    return any((point.submitted, point.started, *ends))


def _row(point: StatPoint) -> tuple[object, ...]:
    durations = (point.wait_p50_ms, point.wait_p95_ms, point.run_p50_ms, point.run_p95_ms)
    return (
        f"{point.at:%Y-%m-%d %H:%M}",
        point.submitted,
        point.succeeded,
        point.retried,
        point.dead,
        *("" if one is None else lasting(one / 1000) for one in durations),
    )
