"""The commands about operations on many dead jobs: `operations`, and below it `redrive`, `discard` and others."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import click

from millstream import BulkOperation, Canary, OperationGroup
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.command_group import CommandGroup
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago, lasting, printable

_COLUMNS = ("id", "asked", "kind", "state", "found", "done", "refused", "of")


def chosen_jobs(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that say which jobs an operation is about, and how it is carried out."""
    for decorate in (
        client_errors,
        json_option,
        url_option,
        click.option("--yes", is_flag=True, help="Do not ask; needed where no terminal is."),
        click.option("--dry-run", is_flag=True, help="Count the jobs, and do nothing."),
        click.option("--rate", type=float, default=50.0, show_default=True, help="Jobs a second."),
        click.option("--group", nargs=2, metavar="TYPE FINGERPRINT", help="Those that died in the same way."),
        click.option("-q", "--query", "q", help="Those that a search finds, such as `type:email.* since:1d`."),
        click.argument("ids", nargs=-1),
    ):
        command = decorate(command)
    return command


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--limit", type=int, default=20, show_default=True, help="How many at most.")
@url_option
@json_option
@click.pass_context
@client_errors
def operations(context: click.Context, *, limit: int, url: str | None, as_json: bool) -> None:
    """List the operations on many dead jobs, start and steer them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        found = client.operations(limit=limit)
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    print_table("operations", _COLUMNS, [_row(one, now) for one in found], "no operations")


@operations.command()
@click.option("--canary", type=int, help="Try so many first, and go on only if they end well.")
@click.option("--max-failure", type=float, default=0.1, show_default=True, help="Share of them that may die again.")
@chosen_jobs
def redrive(
    ids: tuple[str, ...],
    *,
    q: str | None,
    group: tuple[str, str] | None,
    rate: float,
    dry_run: bool,
    canary: int | None,
    max_failure: float,
    yes: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Run many dead jobs again: those of IDS, of a query or of a group. It asks first."""
    trial = None if canary is None else Canary(count=canary, max_failure=max_failure)
    _ask("Run {} again?", ids, q, group, is_asked=not (yes or dry_run))
    with connect(url) as client:
        _print_one(
            client.start_operation(
                "redrive", q=q, ids=ids or None, group=_group(group), rate=rate, canary=trial, dry_run=dry_run
            ),
            as_json=as_json,
        )


@operations.command()
@chosen_jobs
def discard(
    ids: tuple[str, ...],
    *,
    q: str | None,
    group: tuple[str, str] | None,
    rate: float,
    dry_run: bool,
    yes: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Cancel many dead jobs for good: those of IDS, of a query or of a group. It asks first."""
    _ask("Cancel {} for good?", ids, q, group, is_asked=not (yes or dry_run))
    with connect(url) as client:
        _print_one(
            client.start_operation("discard", q=q, ids=ids or None, group=_group(group), rate=rate, dry_run=dry_run),
            as_json=as_json,
        )


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def show(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """Show an operation."""
    with connect(url) as client:
        _print_one(client.operation(operation_id), as_json=as_json)


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def pause(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """Pause an operation."""
    with connect(url) as client:
        _print_one(client.pause_operation(operation_id), as_json=as_json)


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def resume(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """Let a paused operation go on."""
    with connect(url) as client:
        _print_one(client.resume_operation(operation_id), as_json=as_json)


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def cancel(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """End an operation; what it has done stays done."""
    with connect(url) as client:
        _print_one(client.cancel_operation(operation_id), as_json=as_json)


def _group(words: tuple[str, str] | None) -> OperationGroup | None:
    return OperationGroup(*words) if words else None


def _ask(question: str, ids: tuple[str, ...], q: str | None, group: tuple[str, str] | None, *, is_asked: bool) -> None:
    """Ask before an operation, unless it is a dry run. Any answer but yes ends the command."""
    if not is_asked:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("it asks first, and no terminal is there to answer on: add --yes, or --dry-run to count")
    those = (
        f"these {len(ids)} dead jobs" if ids else "every dead job " + ("of this group" if group else f"of `{q or ''}`")
    )
    if not click.confirm(question.format(those), err=True):
        click.echo("millstream: nothing was done", err=True)
        raise click.exceptions.Exit(ExitCode.FAILED)


def _row(one: BulkOperation, now: datetime) -> tuple[object, ...]:
    kind = f"{one.kind}, dry run" if one.dry_run else one.kind
    return one.id, ago(one.created_at, now), kind, one.state, one.found, one.done, one.refused, _of(one)


def _of(one: BulkOperation) -> str:
    if one.group is not None:
        return f"{one.group.type} {one.group.fingerprint}"
    return f"{one.jobs} ids" if one.jobs is not None else one.q or "every dead job"


def _print_one(one: BulkOperation, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    lines = {
        "id": one.id,
        "state": f"{one.state}: {one.detail}" if one.detail else one.state,
        "jobs": _of(one),
        "found": f"{one.found}, of which {one.done} done and {one.refused} refused",
        "canary": f"{one.canary.count} jobs, {one.failed} died again" if one.canary else "",
        "left": f"about {lasting(one.eta_s)}" if one.eta_s else "",
    }
    for name, text in lines.items():
        if text:
            click.echo(f"{name:>8}  {printable(str(text))}")
