"""The commands about batches: `batches`, and what is done with one."""

from pathlib import Path
from typing import Any

import click
import msgspec

from millstream import BatchStatus, NewJob, SyncClient
from millstream_cli.client.batch_report import print_batch, print_batches, print_receipt
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.jobs_file import jobs_of
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.command_group import CommandGroup
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json
from millstream_contracts import BatchEvent, BatchState, MemberState

_STATES = [str(state) for state in BatchState]
_MEMBER_STATES = [str(state) for state in MemberState]
_EVENTS = {
    BatchEvent.SUCCESS: "once every member has succeeded",
    BatchEvent.COMPLETE: "once every member has settled",
    BatchEvent.DEATH: "when the first member is dead",
}
wait_option = click.option(
    "--wait", type=float, metavar="SECONDS", help="How long to wait for its end. Exits with 1 unless it succeeds."
)


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--state", type=click.Choice(_STATES), help="Those in this state.")
@page_options()
@url_option
@json_option
@click.pass_context
@client_errors
def batches(
    context: click.Context, *, state: str | None, cursor: str | None, limit: int, url: str | None, as_json: bool
) -> None:
    """List the jobs that are followed together, newest first; make, fill, close and cancel batches of them."""
    if not context.invoked_subcommand:
        _list(state, cursor, limit, url, as_json=as_json)


@batches.command(name="list")
@click.option("--state", type=click.Choice(_STATES), help="Those in this state.")
@page_options()
@url_option
@json_option
@client_errors
def list_(*, state: str | None, cursor: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """List batches, newest first."""
    _list(state, cursor, limit, url, as_json=as_json)


@batches.command()
@click.argument("batch_id", metavar="ID")
@click.option("--state", type=click.Choice(_MEMBER_STATES), help="Only members in this state.")
@page_options(of="members")
@wait_option
@url_option
@json_option
@client_errors
def show(
    batch_id: str,
    *,
    state: str | None,
    cursor: str | None,
    limit: int,
    wait: float | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Show a batch with its members: those that need a look first."""
    with connect(url) as client:
        found = client.batch_status(batch_id) if wait is None else client.wait_for_batch(batch_id, wait)
        page = client.batch_jobs(batch_id, state=state, cursor=cursor, limit=limit)
    if as_json:
        print_json({"batch": found, "members": page.items, "next_cursor": page.next_cursor})
    else:
        print_batch(found, page.items, as_json=False)
        tell_next_page(page.next_cursor)
    if wait is not None:
        _exit_unless_succeeded(found)


@batches.command()
@click.argument("name")
@click.option(
    "--jobs",
    "file",
    type=click.Path(path_type=Path),
    help="Its first jobs: a file with one as JSON a line, or the body of POST /v1/jobs/batch; - is stdin.",
)
@click.option("--open", "is_open", is_flag=True, help="Let it take more jobs until it is closed. Without --jobs it is.")
@click.option("--on-success", metavar="JOB", help=f"Run this {_EVENTS[BatchEvent.SUCCESS]}: a type, or a job as JSON.")
@click.option("--on-complete", metavar="JOB", help=f"Run this {_EVENTS[BatchEvent.COMPLETE]}.")
@click.option("--on-death", metavar="JOB", help=f"Run this {_EVENTS[BatchEvent.DEATH]}.")
@click.option(
    "--expires-in", type=float, metavar="SECONDS", help="The time after which it is closed. Seven days if not given."
)
@click.option("--idempotency-key", help="The same key makes no second batch.")
@wait_option
@url_option
@json_option
@client_errors
def create(
    name: str,
    *,
    file: Path | None,
    is_open: bool,
    expires_in: float | None,
    idempotency_key: str | None,
    wait: float | None,
    url: str | None,
    as_json: bool,
    **callbacks: str | None,
) -> None:
    """Make the batch NAME, and print its id."""
    fields: dict[str, Any] = {event: _callback(text) for event, text in callbacks.items() if text is not None}
    jobs = [] if file is None else [msgspec.Raw(job.content) for job in jobs_of(file)]
    fields |= {"name": name, "open": is_open or not jobs}
    if jobs:
        fields["jobs"] = jobs
    if expires_in is not None:
        fields["expires_in_s"] = expires_in
    with connect(url) as client:
        made = client.create_batch(fields, idempotency_key)
        if wait is None:
            print_json(made) if as_json else click.echo(made.id)
            return
        made = _wait(client, made, wait)
    print_batch(made, as_json=as_json)
    _exit_unless_succeeded(made)


@batches.command()
@click.argument("batch_id", metavar="ID")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--by", metavar="JOB", help="The member that adds them: it may although the batch is closed.")
@click.option("--idempotency-key", help="The same key adds no job twice.")
@url_option
@json_option
@client_errors
def add(
    batch_id: str, file: Path, *, by: str | None, idempotency_key: str | None, url: str | None, as_json: bool
) -> None:
    """Submit the jobs of FILE as members of a batch: one as JSON a line; - is stdin. Exits with 1 if one is refused."""
    jobs = jobs_of(file)
    with connect(url) as client:
        receipt = client.add_to_batch(batch_id, jobs, by=by, idempotency_key=idempotency_key)
    print_receipt(receipt, as_json=as_json)
    if receipt.rejected:
        raise click.exceptions.Exit(ExitCode.FAILED)


@batches.command()
@click.argument("batch_id", metavar="ID")
@url_option
@json_option
@client_errors
def close(batch_id: str, *, url: str | None, as_json: bool) -> None:
    """Let a batch take no more jobs, so that it ends with its last member."""
    with connect(url) as client:
        print_batch(client.close_batch(batch_id), as_json=as_json)


@batches.command()
@click.argument("batch_id", metavar="ID")
@url_option
@json_option
@client_errors
def cancel(batch_id: str, *, url: str | None, as_json: bool) -> None:
    """Cancel what has not ended of a batch: jobs that run are asked to stop."""
    with connect(url) as client:
        print_batch(client.cancel_batch(batch_id), as_json=as_json)


def _list(state: str | None, cursor: str | None, limit: int, url: str | None, *, as_json: bool) -> None:
    with connect(url) as client:
        page = client.batches(state=state, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    print_batches(page.items)
    tell_next_page(page.next_cursor)


def _callback(text: str) -> msgspec.Raw:
    """Return the job of an option: a type by its name, or a submission as JSON. Raises: click.BadParameter."""
    if not text.lstrip().startswith("{"):
        return msgspec.Raw(NewJob(text).content)
    try:
        return msgspec.Raw(NewJob.from_document(msgspec.json.decode(text)).content)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="JOB") from error


def _wait(client: SyncClient, made: BatchStatus, seconds: float) -> BatchStatus:
    """Return the batch once its members have settled. Its id is printed before the wait."""
    click.echo(made.id, err=True)
    return client.wait_for_batch(made.id, seconds)


def _exit_unless_succeeded(found: BatchStatus) -> None:
    if found.state is not BatchState.SUCCEEDED:
        raise click.exceptions.Exit(ExitCode.FAILED)
