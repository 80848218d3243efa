"""The commands that start an operation on many jobs: `operations redrive`, `operations discard` and others."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
import msgspec

from millstream import Canary, ExportOptions, OperationGroup
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.operation_report import print_operation
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option
from millstream_contracts import AskedKind, ExportFormat, PriorityName


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs an operation is about, and how it is carried out."""

    ids: tuple[str, ...]
    q: str | None
    group: tuple[str, str] | None
    rate: float
    dry_run: bool
    yes: bool
    url: str | None
    as_json: bool

    def start(self, kind: AskedKind, question: str, jobs: str = "dead job", **options: Any) -> None:
        """Start an operation and print it. It asks first, unless that is answered already or nothing is done."""
        self._ask(question, jobs)
        group = OperationGroup(*self.group) if self.group else None
        with connect(self.url) as client:
            made = client.start_operation(
                kind, q=self.q, ids=self.ids or None, group=group, rate=self.rate, dry_run=self.dry_run, **options
            )
            print_operation(made, as_json=self.as_json)

    def _ask(self, question: str, jobs: str) -> None:
        """Ask before an operation. Any answer but yes ends the command."""
        if self.yes or self.dry_run:
            return
        if not sys.stdin.isatty():
            refusal = "it asks first, and no terminal is there to answer on: add --yes, or --dry-run to count"
            raise click.UsageError(refusal)
        those = f"every {jobs} " + ("of this group" if self.group else f"of `{self.q or ''}`")
        if not click.confirm(question.format(f"these {len(self.ids)} {jobs}s" if self.ids else those), err=True):
            click.echo("millstream: nothing was done", err=True)
            raise click.exceptions.Exit(ExitCode.FAILED)


def chosen_jobs(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that say which jobs an operation is about; the command gets them as one value."""

    @wraps(command)
    def run(**given: Any) -> None:
        chosen = Chosen(**{name: given.pop(name) for name in Chosen.__struct_fields__})
        command(chosen, **given)

    decorated: Callable[..., None] = run
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
        decorated = decorate(decorated)
    return decorated


def tried_first(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a trial with the first jobs."""
    share = click.option(
        "--max-failure", type=float, default=0.1, show_default=True, help="Share of them that may die again."
    )
    return click.option("--canary", type=int, help="How many to try first; the others follow only if these end well.")(
        share(command)
    )


fresh_option = click.option(
    "--fresh", is_flag=True, help="Have durable handlers begin again, without what their steps have stored."
)


def _trial(canary: int | None, max_failure: float) -> Canary | None:
    return None if canary is None else Canary(count=canary, max_failure=max_failure)


@click.command()
@fresh_option
@tried_first
@chosen_jobs
def redrive(chosen: Chosen, *, canary: int | None, max_failure: float, fresh: bool) -> None:
    """Run many dead jobs again: those of IDS, of a query or of a group. It asks first."""
    chosen.start("redrive", "Run {} again?", canary=_trial(canary, max_failure), fresh=fresh)


@click.command()
@chosen_jobs
def discard(chosen: Chosen) -> None:
    """Cancel many dead jobs for good: those of IDS, of a query or of a group. It asks first."""
    chosen.start("discard", "Cancel {} for good?")


@click.command()
@click.option(
    "-p", "--patch", "text", required=True, help='A JSON Merge Patch, such as \'{"region": "eu", "retry": null}\'.'
)
@fresh_option
@tried_first
@chosen_jobs
def patch(chosen: Chosen, *, text: str, canary: int | None, max_failure: float, fresh: bool) -> None:
    """Change the payloads of many dead jobs and run them again; --dry-run shows what would change. It asks first."""
    change = _patch(text)
    question = "Change the payloads of {}, and run them again?"
    chosen.start("patch", question, canary=_trial(canary, max_failure), patch=change, fresh=fresh)


@click.command("cancel-jobs")
@chosen_jobs
def cancel_jobs(chosen: Chosen) -> None:
    """Cancel many jobs that wait or run: those of IDS or of a query. It asks first.

    Those that wait end at once; the workers of those that run are asked to stop them.
    """
    chosen.start("cancel", "Cancel {}?", "job that waits or runs")


@click.command("run-now")
@chosen_jobs
def run_now(chosen: Chosen) -> None:
    """Have many jobs ready before their time, retries too: those of IDS or of a query. It asks first."""
    chosen.start("run-now", "Run {} now?", "job that waits for a time")


@click.command()
@click.argument("priority", type=click.Choice(["high", "normal", "low"]))
@chosen_jobs
def priority(chosen: Chosen, *, priority: PriorityName) -> None:
    """Give many jobs that have not started another PRIORITY: those of IDS or of a query. It asks first."""
    chosen.start("priority", "Give {} this priority?", "job that has not started", priority=priority)


@click.command()
@chosen_jobs
def erase(chosen: Chosen) -> None:
    """Remove for good what is stored of many jobs, in any state: those of IDS, of a query or of a group.

    Payloads, results, errors and tags go; ids, types, times and outcomes stay. Jobs that wait will never run. It asks
    first.
    """
    chosen.start("erase", "Erase {} for good, also those that wait?", "job")


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    default="jsonl",
    show_default=True,
    help="Format of the file.",
)
@click.option("--payloads", is_flag=True, help="Write payloads and results too.")
@click.option("--name", default="export", show_default=True, help="Start of the name of the file.")
@click.option("--group", nargs=2, metavar="TYPE FINGERPRINT", help="Those that died in the same way.")
@click.option("-q", "--query", "q", help="Those that a search finds, such as `type:email.* since:1d`.")
@click.argument("ids", nargs=-1)
@url_option
@json_option
@client_errors
def export(
    ids: tuple[str, ...],
    *,
    form: ExportFormat,
    payloads: bool,
    name: str,
    q: str | None,
    group: tuple[str, str] | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Write many jobs to a file: those of IDS, of a query or of a group. A worker with `data.export` does it."""
    options = ExportOptions(format=form, payloads=payloads, name=name)
    chosen = OperationGroup(*group) if group else None
    with connect(url) as client:
        made = client.start_operation("export", q=q, ids=ids or None, group=chosen, export=options)
        print_operation(made, as_json=as_json)


def _patch(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise click.BadParameter(f"it is no JSON object: {error}", param_hint="--patch") from None


STARTS = (redrive, patch, discard, cancel_jobs, run_now, priority, erase, export)
