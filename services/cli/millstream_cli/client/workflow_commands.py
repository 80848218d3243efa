"""The commands about workflows: `workflows`, and what is done with one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from millstream import SyncClient, Workflow, WorkflowFailedError, WorkflowStatus
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.client.payload_argument import payload_of
from millstream_cli.client.workflow_report import print_workflow, print_workflows
from millstream_cli.command_group import CommandGroup
from millstream_cli.exit_codes import ExitCode
from millstream_cli.lengths import Length
from millstream_cli.output import json_option, print_json
from millstream_contracts import NodeFilter, WorkflowState

_STATES = [str(state) for state in WorkflowState]
_FILTERS = [str(one) for one in NodeFilter]


def _list_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a list of workflows."""
    for option in reversed(
        (
            click.option("--state", type=click.Choice(_STATES), help="Those in this state."),
            click.option("--name", help="Those with this name."),
            click.option("--since", type=Length(), help="Those that were submitted in this time: 90m, 6h, 14d."),
            page_options(),
            url_option,
            json_option,
        )
    ):
        command = option(command)
    return command


@click.group(cls=CommandGroup, invoke_without_command=True)
@_list_options
@click.pass_context
@client_errors
def workflows(context: click.Context, /, *, url: str | None, as_json: bool, **asked: Any) -> None:
    """List the graphs of jobs that were submitted, newest first; run, cancel and rerun them."""
    if not context.invoked_subcommand:
        _list(url, as_json=as_json, **asked)


@workflows.command(name="list")
@_list_options
@client_errors
def list_(*, url: str | None, as_json: bool, **asked: Any) -> None:
    """List workflows, newest first."""
    _list(url, as_json=as_json, **asked)


@workflows.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--wait", type=float, metavar="SECONDS", help="How long to wait for its end. Exits with 1 unless it succeeds."
)
@click.option("--idempotency-key", help="The same key makes no second workflow.")
@url_option
@json_option
@client_errors
def run(file: Path, *, wait: float | None, idempotency_key: str | None, url: str | None, as_json: bool) -> None:
    """Run the workflow of FILE, the JSON of POST /v1/workflows; - is stdin."""
    flow = Workflow.from_document(payload_of(None, file))
    with connect(url) as client:
        made = client.run(flow, idempotency_key=idempotency_key)
        if wait is None:
            print_json(client.workflow(made.id)) if as_json else click.echo(made.id)
            return
        found = _wait(client, made.id, wait)
    print_workflow(found, [], as_json=as_json)
    if found.state is not WorkflowState.SUCCEEDED:
        raise SystemExit(ExitCode.FAILED)


@workflows.command()
@click.argument("workflow_id", metavar="ID")
@click.option("--nodes", type=click.Choice(_FILTERS), help="Only nodes in this state, or those that failed.")
@click.option("--results", is_flag=True, help="Show whose results each node takes, and how large they are.")
@page_options(of="nodes")
@url_option
@json_option
@client_errors
def show(
    workflow_id: str,
    *,
    nodes: str | None,
    results: bool,
    cursor: str | None,
    limit: int,
    url: str | None,
    as_json: bool,
) -> None:
    """Show a workflow with its nodes."""
    with connect(url) as client:
        page = client.workflow_nodes(workflow_id, nodes=nodes, results=results, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    print_workflow(page.workflow, page.nodes, as_json=False)
    tell_next_page(page.next_cursor)


@workflows.command()
@click.argument("workflow_id", metavar="ID")
@url_option
@json_option
@client_errors
def cancel(workflow_id: str, *, url: str | None, as_json: bool) -> None:
    """Cancel what has not ended of a workflow: jobs that run are asked to stop."""
    with connect(url) as client:
        print_workflow(client.cancel_workflow(workflow_id), [], as_json=as_json)


@workflows.command()
@click.argument("workflow_id", metavar="ID")
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@click.option("--failed", is_flag=True, help="Begin with all nodes that are dead, cancelled or expired.")
@click.option("--idempotency-key", help="The same key makes no second rerun.")
@url_option
@json_option
@client_errors
def rerun(
    workflow_id: str,
    nodes: tuple[str, ...],
    *,
    failed: bool,
    idempotency_key: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Run nodes of a workflow again with all behind them: the NODEs, or those that failed."""
    if bool(nodes) == failed:
        raise click.UsageError("give the names of nodes, or --failed")
    with connect(url) as client:
        found = client.rerun_workflow(workflow_id, nodes or None, failed=failed, idempotency_key=idempotency_key)
    print_workflow(found, [], as_json=as_json)


def _list(
    url: str | None,
    *,
    state: str | None,
    name: str | None,
    since: timedelta | None,
    cursor: str | None,
    limit: int,
    as_json: bool,
) -> None:
    after = None if since is None else datetime.now(UTC) - since
    with connect(url) as client:
        page = client.workflows(state=state, name=name, created_after=after, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    print_workflows(page.items)
    if not page.complete:
        click.echo("the history cannot be read now: workflows that Redis has forgotten are missing", err=True)
    tell_next_page(page.next_cursor)


def _wait(client: SyncClient, workflow_id: str, seconds: float) -> WorkflowStatus:
    """Return a workflow once it has ended, or is stalled. Its id is printed before the wait."""
    click.echo(workflow_id, err=True)
    try:
        return client.wait_for_workflow(workflow_id, seconds)
    except WorkflowFailedError as error:
        return error.workflow
