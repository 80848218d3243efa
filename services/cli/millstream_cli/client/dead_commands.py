"""The commands about dead letters: `dead`, `dead groups`, `dead redrive`, `dead discard`."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from millstream import SyncClient
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.command_group import CommandGroup
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.program_name import command_line
from millstream_cli.wording import ago, short_error
from millstream_contracts import ActionReport, DeadGroup


def chosen_letters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that all commands on dead letters share."""
    for decorate in (
        client_errors,
        json_option,
        url_option,
        click.option("--yes", is_flag=True, help="Do not ask; needed where no terminal is."),
        click.option("--limit", type=int, default=1000, show_default=True, help="How many of the type at most."),
        click.option("--type", "type_", help="The newest of one job type."),
        click.argument("ids", nargs=-1),
    ):
        command = decorate(command)
    return command


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--type", "type_", help="Only those of one job type.")
@page_options()
@url_option
@json_option
@click.pass_context
@client_errors
def dead(
    context: click.Context, *, type_: str | None, limit: int, cursor: str | None, url: str | None, as_json: bool
) -> None:
    """List the dead letters, redrive or discard them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        page = client.dead(type=type_, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    now = datetime.now(UTC)
    rows = [(one.id, ago(one.died_at, now), one.reason, short_error(one.error)) for one in page.items]
    print_table("dead letters", ("id", "died", "reason", "error"), rows, "no dead letters")
    tell_next_page(page.next_cursor)


@dead.command()
@click.option("--type", "type_", help="Only those of one job type.")
@click.option("--since", type=float, metavar="HOURS", help="Only those that were submitted in the last time, in hours.")
@url_option
@json_option
@client_errors
def groups(*, type_: str | None, since: float | None, url: str | None, as_json: bool) -> None:
    """Group dead jobs by what they died of, from the history."""
    with connect(url) as client:
        ago_h = None if since is None else timedelta(hours=since)
        found = client.dead_groups(type=type_, since=ago_h, live=True, releases=True)
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    rows = [
        (
            one.count,
            "" if one.live is None else one.live,
            one.type,
            one.fingerprint,
            ago(one.last_seen, now),
            releases_of(one),
            short_error(one.sample.error),
        )
        for one in found.items
    ]
    columns = ("dead", "live", "type", "fingerprint", "newest", "releases", "error")
    print_table("dead groups", columns, rows, "no dead jobs")
    if not found.complete:
        click.echo("counted in the last day only: there was no time for more")
    if found.items:
        example = command_line("jobs", "search", f"state:dead fingerprint:{found.items[0].fingerprint}")
        click.echo(f"the jobs of a group: {example}")


def releases_of(group: DeadGroup) -> str:
    """Return the releases that the oldest and the newest job of a group died with, as far as they are known."""
    known = [one for one in (group.first_release, group.last_release) if one]
    return " to ".join(dict.fromkeys(known))


@dead.command()
@chosen_letters
def redrive(ids: tuple[str, ...], *, type_: str | None, limit: int, yes: bool, url: str | None, as_json: bool) -> None:
    """Run dead jobs again, by IDS or by --type. By --type it asks first."""
    with connect(url) as client:
        if type_ is not None and not ids and not yes:
            _ask("redrive", lambda: _question(client, type_, limit, "Run {} again?"))
        _print_report(client.redrive(ids=ids or None, type=type_, limit=limit), "redriven", as_json=as_json)


@dead.command()
@chosen_letters
def discard(ids: tuple[str, ...], *, type_: str | None, limit: int, yes: bool, url: str | None, as_json: bool) -> None:
    """Cancel dead jobs for good, by IDS or by --type. It asks first."""
    with connect(url) as client:
        if not yes and type_ is not None and not ids:
            _ask("discard", lambda: _question(client, type_, limit, "Cancel {} for good?"))
        elif not yes and ids:
            _ask("discard", lambda: f"Cancel {_jobs(len(ids))} for good?")
        _print_report(client.discard(ids=ids or None, type=type_, limit=limit), "discarded", as_json=as_json)


def _ask(action: str, question: Callable[[], str]) -> None:
    """Ask before an action on many jobs, or one without a way back. Any answer but yes ends the command.

    An empty question, about no job at all, is not asked.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"`dead {action}` asks first, and no terminal is there to answer on: add --yes")
    asked = question()
    if asked and not click.confirm(asked, err=True):
        click.echo("millstream: nothing was done", err=True)
        raise click.exceptions.Exit(ExitCode.FAILED)


def _question(client: SyncClient, job_type: str, limit: int, question: str) -> str:
    """Return a question with the number of jobs that an action on a type is about; empty when there are none."""
    count = sum(queue.dead for queue in client.queues() if queue.type == job_type)
    newest = f"the newest {limit:,} of " if count > limit else ""
    return question.format(f"{newest}{_jobs(count)} of type {job_type}") if count else ""


def _jobs(count: int) -> str:
    return "1 dead job" if count == 1 else f"{count:,} dead jobs"


def _print_report(report: ActionReport, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        click.echo(f"{report.done} {done}, {report.refused} refused")
        for item in report.items:
            if item.detail:
                click.echo(f"  {item.id}: {item.detail}", err=True)
    if report.refused:
        raise click.exceptions.Exit(ExitCode.REFUSED)
