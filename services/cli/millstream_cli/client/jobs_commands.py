"""The commands about lists of jobs: `jobs` and `jobs search`."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import click
from msgspec.structs import replace
from rich.cells import cell_len

from millstream import InvalidError, SyncClient
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.explain_command import explain
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.client.signal_command import signal
from millstream_cli.client.tag_option import read_tags, tag_option
from millstream_cli.command_group import CommandGroup
from millstream_cli.errors import CliError
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago, printable, short_error, stamp
from millstream_contracts import FieldError, Job, JobCount, JobState, Page

LISTED_STATES = [one.value for one in JobState if not one.is_terminal]
"""States that `GET /v1/jobs` lists: those of jobs that have not ended."""

SEARCH_FOR_S = 10.0
"""How long a search goes on while pages have no time to find what they should."""

LAG_TOLD_S = 5.0
"""The lag from which on a search says that the history is behind."""


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--running", is_flag=True, help="Only those that run; the same as --state running.")
@click.option("--type", "type_", help="Only those of one job type.")
@click.option("--state", type=click.Choice(LISTED_STATES), help="Only those in one state.")
@page_options()
@url_option
@json_option
@click.pass_context
@client_errors
def jobs(
    context: click.Context,
    *,
    running: bool,
    type_: str | None,
    state: str | None,
    limit: int,
    cursor: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """List the jobs that have not ended, or search for any.

    `millstream jobs search --help` says how.
    """
    if context.invoked_subcommand:
        return
    if running and state not in {None, JobState.RUNNING}:
        raise click.UsageError(f"--running and --state {state} exclude each other")
    with connect(url) as client:
        page = client.jobs(type=type_, state=JobState.RUNNING if running else state, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    _print(page.items, "no jobs")
    tell_next_page(page.next_cursor)


jobs.add_command(signal)
jobs.add_command(explain)


class QueryMistakeError(CliError):
    """A query means nothing; its text points at the place."""

    exit_code: ClassVar[int] = ExitCode.REFUSED

    def __init__(self, q: str, fault: FieldError) -> None:
        self.fault = fault
        position, end = fault.position or 0, fault.end or len(q)
        shown = printable(q)
        before, marked = cell_len(shown[:position]), max(1, cell_len(shown[position:end]))
        hint = f"; {fault.hint}" if fault.hint else ""
        super().__init__(f"{fault.detail}{hint}\n  {shown}\n  {' ' * before}{'^' * marked}")


@jobs.command()
@click.argument("q", required=False, default="")
@click.option("--type", "type_", help="Only those of one job type.")
@click.option("--state", type=click.Choice([one.value for one in JobState]), help="Only those in one state.")
@tag_option
@click.option("--count", is_flag=True, help="Print how many there are, as far as that is known in time.")
@page_options()
@url_option
@json_option
@client_errors
def search(
    q: str,
    *,
    type_: str | None,
    state: str | None,
    tags: tuple[str, ...],
    count: bool,
    limit: int,
    cursor: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Search the history for jobs, newest first.

    All conditions of Q hold: 'state:dead type:email.* payload.user.id:42 since:1d "no route"'. Values with commas
    between them are alternatives, a - before a condition negates it. docs/history/searching.md has the language.
    """

    def ask(client: SyncClient, after: str | None, wanted: int) -> Page:
        return client.jobs(q, type=type_, state=state, tags=read_tags(tags), count=count, cursor=after, limit=wanted)

    with connect(url) as client:
        try:
            page = _pages(client, ask, cursor, limit)
        except InvalidError as error:
            places = [fault for fault in error.problem.errors if fault.position is not None]
            if not places:
                raise
            raise QueryMistakeError(q, places[0]) from None
    if as_json:
        print_json(page)
    else:
        _print_found(page)


def _pages(
    client: SyncClient, ask: Callable[[SyncClient, str | None, int], Page], cursor: str | None, limit: int
) -> Page:
    """Return a page, and what the pages after it have while there was no time to fill it."""
    give_up_at = time.monotonic() + SEARCH_FOR_S
    page = ask(client, cursor, limit)
    while not page.complete and page.next_cursor and len(page.items) < limit and time.monotonic() < give_up_at:
        more = ask(client, page.next_cursor, limit - len(page.items))
        page = replace(more, items=[*page.items, *more.items], count=page.count)
    return page


def _print_found(page: Page) -> None:
    """Print a page of a search, and how far it has looked."""
    is_partial = not page.complete and page.next_cursor is not None
    _print(page.items, "no jobs so far" if is_partial else "no jobs")
    if page.hint and not page.items:
        click.echo(page.hint)
    if page.count:
        click.echo(f"{_counted(page.count)} in all")
    if is_partial and page.searched_until:
        click.echo(f"searched back to {stamp(page.searched_until)} only: the search takes long, and is not done")
    if page.history_lag_s and page.history_lag_s >= LAG_TOLD_S:
        click.echo(f"the history is {page.history_lag_s:.0f} s behind")
    tell_next_page(page.next_cursor)


def _counted(count: JobCount) -> str:
    word = {"~": "about ", "at_least": "at least "}.get(count.relation, "")
    return f"{word}{count.value:,}"


def _print(jobs: Sequence[Job], empty: str) -> None:
    now = datetime.now(UTC)
    print_table("jobs", ("id", "state", "since", "attempts", "details"), [_row(one, now) for one in jobs], empty)


def _row(listed: Job, now: datetime) -> Sequence[object]:
    moments = {
        JobState.RUNNING: listed.started_at,
        JobState.SCHEDULED: listed.run_at,
        JobState.DEAD: listed.finished_at,
        JobState.SUCCEEDED: listed.finished_at,
        JobState.CANCELLED: listed.finished_at,
        JobState.EXPIRED: listed.finished_at,
    }
    since = moments.get(listed.state) or listed.created_at
    return listed.id, listed.state.value, ago(since, now), listed.attempts, _details(listed)


def _details(listed: Job) -> str:
    """Return what matters about a job in its state: who runs it and how far it is, or why it failed."""
    if listed.state is JobState.RUNNING:
        progress = listed.progress
        return f"{listed.worker or ''}" + (f" {progress.percent:g} % {progress.note}" if progress else "")
    if listed.waiting_for:
        return f"waits for the signal {listed.waiting_for}"
    return short_error(listed.error) or listed.reason or ""
