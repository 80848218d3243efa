"""The commands about schedules: `schedules`, and what is done with one."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import click

from millstream import NewJob, ScheduleOptions
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.client.payload_argument import payload_of
from millstream_cli.client.schedule_report import (
    print_backfill,
    print_occasions,
    print_preview,
    print_schedule,
    print_schedules,
)
from millstream_cli.client.tag_option import read_tags, tag_option
from millstream_cli.client.unique_options import read_unique, unique_options
from millstream_cli.command_group import CommandGroup
from millstream_cli.lengths import Length, Moment
from millstream_cli.output import json_option, print_json
from millstream_contracts import ScheduleMissed, ScheduleOverlap, ScheduleRules, ScheduleState

_STATES = [str(state) for state in ScheduleState]


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--state", type=click.Choice(_STATES), help="Those in this state.")
@click.option("--type", "type_", metavar="TYPE", help="Those of this job type.")
@page_options()
@url_option
@json_option
@click.pass_context
@client_errors
def schedules(
    context: click.Context,
    *,
    state: str | None,
    type_: str | None,
    cursor: str | None,
    limit: int,
    url: str | None,
    as_json: bool,
) -> None:
    """List the schedules that submit jobs by the clock, make and steer them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        page = client.schedules(state=state, type=type_, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    print_schedules(page.items)
    tell_next_page(page.next_cursor)


@schedules.command()
@click.argument("name")
@url_option
@json_option
@client_errors
def show(name: str, *, url: str | None, as_json: bool) -> None:
    """Show a schedule with its next occasions."""
    with connect(url) as client:
        print_schedule(client.schedule(name), as_json=as_json)


@schedules.command()
@click.argument("name")
@click.argument("type")
@click.argument("payload", required=False)
@click.option("--cron", help="A cron expression such as '0 3 * * *', or @daily.")
@click.option("--every", type=Length(), metavar="LENGTH", help="An interval such as 90m.")
@click.option("--at", type=Moment(), metavar="MOMENT", help="Once, at this moment.")
@click.option("--tz", help="The IANA zone of the expression; UTC by default.")
@click.option("--seconds", is_flag=True, help="The expression has six fields, with seconds first.")
@click.option("--missed", type=click.Choice(get_args(ScheduleMissed)), help="What is done about late occasions.")
@click.option("--late", type=Length(), metavar="LENGTH", help="From which lateness on an occasion is missed.")
@click.option("--catch-up", type=Length(), metavar="LENGTH", help="No missed occasion that is older runs.")
@click.option("--max-missed", type=int, help="How many missed occasions run, with --missed all.")
@click.option("--overlap", type=click.Choice(get_args(ScheduleOverlap)), help="What is done while the last job runs.")
@click.option("--jitter", type=Length(), metavar="LENGTH", help="Fire later by a fixed time of at most this length.")
@click.option("--file", type=click.Path(path_type=Path), help="Read the payload from a file; - is stdin.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="Which jobs of the type run first.")
@click.option("--key", metavar="KEY", help="Group it by this, such as a customer; limits may hold for each key.")
@unique_options
@tag_option
@click.option("--description", default="", help="What it is for.")
@click.option("--paused/--active", default=None, help="Whether it is paused from now on.")
@click.option("--dry-run", is_flag=True, help="Check it and show when it would be due, and put nothing.")
@url_option
@json_option
@client_errors
def put(
    name: str,
    type: str,
    payload: str | None,
    *,
    cron: str | None,
    every: timedelta | None,
    at: datetime | None,
    file: Path | None,
    priority: Any,
    key: str | None,
    tags: tuple[str, ...],
    description: str,
    paused: bool | None,
    dry_run: bool,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make or replace the schedule NAME, which submits a job of TYPE with a JSON PAYLOAD."""
    given = [one for one in (cron, every, at) if one is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --cron, --every and --at")
    unique = read_unique(options)
    labels = read_tags(tags) or None
    job = NewJob(type, payload_of(payload, file), priority=priority, key=key, tags=labels, unique=unique)
    asked = _given(options)
    with connect(url) as client:
        if dry_run:
            seen = client.preview_schedule(name, given[0], job, description=description, paused=paused, **asked)
            rules = ScheduleRules(cron=cron, tz=asked.get("tz", "UTC"), seconds=asked.get("seconds", False))
            print_preview(seen, rules, as_json=as_json)
            return
        made = client.put_schedule(name, given[0], job, description=description, paused=paused, **asked)
    print_schedule(made, as_json=as_json)


@schedules.command()
@click.argument("name")
@url_option
@client_errors
def remove(name: str, *, url: str | None) -> None:
    """Remove a schedule; what code declares comes back with the next start of a worker."""
    with connect(url) as client:
        client.remove_schedule(name)


@schedules.command()
@click.argument("name")
@url_option
@json_option
@client_errors
def pause(name: str, *, url: str | None, as_json: bool) -> None:
    """Pause a schedule: it has no occasions until it is resumed."""
    with connect(url) as client:
        print_schedule(client.pause_schedule(name), as_json=as_json)


@schedules.command()
@click.argument("name")
@url_option
@json_option
@client_errors
def resume(name: str, *, url: str | None, as_json: bool) -> None:
    """Let a paused schedule go on, with its occasions from now on."""
    with connect(url) as client:
        print_schedule(client.resume_schedule(name), as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option("--idempotency-key", help="The same key makes no second job.")
@url_option
@json_option
@client_errors
def run(name: str, *, idempotency_key: str | None, url: str | None, as_json: bool) -> None:
    """Submit the job of a schedule now, beside its occasions."""
    with connect(url) as client:
        made = client.run_schedule(name, idempotency_key=idempotency_key)
    print_json(made) if as_json else click.echo(made.job)


@schedules.command()
@click.argument("name")
@click.option("-n", "count", type=int, default=5, show_default=True, help="How many.")
@url_option
@json_option
@client_errors
def next(name: str, *, count: int, url: str | None, as_json: bool) -> None:
    """Show when a schedule is due next, and where a change of the clock moves it."""
    with connect(url) as client:
        print_occasions(client.schedule(name), client.next_occasions(name, count), as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option("--from", "start", type=Moment(), metavar="MOMENT", required=True, help="The first moment of the range.")
@click.option("--to", "end", type=Moment(), metavar="MOMENT", required=True, help="The end, which is not in the range.")
@click.option("--parallel", type=int, default=1, show_default=True, help="How many of its jobs at a time.")
@click.option("--dry-run", is_flag=True, help="Count the occasions, and start nothing.")
@click.option("--idempotency-key", help="The same key makes no second backfill.")
@url_option
@json_option
@client_errors
def backfill(name: str, *, start: datetime, end: datetime, url: str | None, as_json: bool, **options: Any) -> None:
    """Run the occasions of a range of time again, oldest first."""
    with connect(url) as client:
        print_backfill(client.start_backfill(name, start, end, **options), as_json=as_json)


def _given(options: dict[str, Any]) -> ScheduleOptions:
    """Return the options that are given: the others are left to the service."""
    # By identity: 0 equals False, and is a mistake that the service names.
    return {name: one for name, one in options.items() if one is not None and one is not False}  # type: ignore[return-value]
