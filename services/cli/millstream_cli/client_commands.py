"""The commands that talk to the HTTP API."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from millstream import MillstreamError, SyncClient
from millstream_cli.output import json_option, one_line_errors, print_fields, print_json, print_table
from millstream_cli.settings import ClientSettings, load
from millstream_contracts import ActionReport, Job

client_errors = one_line_errors(MillstreamError, TypeError, ValueError, OSError)

url_option = click.option("--url", help="Address of the HTTP API; else MILLSTREAM_URL, else http://127.0.0.1:8080.")


def chosen_letters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that all commands on dead letters share."""
    for decorate in (
        client_errors,
        json_option,
        url_option,
        click.option("--limit", type=int, default=1000, show_default=True, help="How many of the type at most."),
        click.option("--type", "type_", help="All of one job type."),
        click.argument("ids", nargs=-1),
    ):
        command = decorate(command)
    return command


RETRY_FOR_S = 3.0
"""Short, because a person at a terminal wants to know soon that the API does not answer."""


def connect(url: str | None) -> SyncClient:
    """Return a client for the address of the option or the environment."""
    return SyncClient(load(ClientSettings, os.environ, url=url).url, retry_for_s=RETRY_FOR_S)


@click.command()
@click.argument("type")
@click.argument("payload", required=False)
@click.option("--file", "file", type=click.Path(path_type=Path), help="Read the payload from a file; - is stdin.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]))
@click.option("--delay", type=float, help="Run it no sooner than in so many seconds.")
@click.option("--max-attempts", type=int)
@click.option("--timeout", type=float, help="Seconds after which an attempt is stopped.")
@click.option("--tag", "tags", multiple=True, help="key=value; may be given again.")
@click.option("--idempotency-key", help="The same key makes no second job.")
@click.option("--wait", type=float, help="Wait so many seconds for the job to end.")
@url_option
@json_option
@client_errors
def submit(
    type: str,
    payload: str | None,
    *,
    file: Path | None,
    tags: tuple[str, ...],
    wait: float | None,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Submit a job of TYPE with a JSON PAYLOAD."""
    options["tags"] = _tags(tags) or None
    with connect(url) as client:
        job = client.submit(type, _payload(payload, file), **options).job
        if wait is not None:
            job = client.wait(job.id, wait)
    _print_job(job, as_json=as_json)


@click.command()
@click.argument("job_id")
@click.option("--wait", type=float, help="Wait so many seconds for the job to end.")
@click.option("--cancel", "action", flag_value="cancel", help="Cancel it.")
@click.option("--retry", "action", flag_value="retry", help="Run it again, if it is dead.")
@url_option
@json_option
@client_errors
def job(job_id: str, *, wait: float | None, action: str | None, url: str | None, as_json: bool) -> None:
    """Show a job, cancel it, or run it again."""
    with connect(url) as client:
        if action == "cancel":
            found = client.cancel(job_id)
        elif action == "retry":
            found = client.retry(job_id)
        else:
            found = client.get(job_id)
        if wait is not None:
            found = client.wait(job_id, wait)
    _print_job(found, as_json=as_json)


@click.group(invoke_without_command=True)
@click.option("--type", "type_", help="Only those of one job type.")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="Go on where an earlier list ended.")
@url_option
@json_option
@click.pass_context
@client_errors
def dead(
    context: click.Context, *, type_: str | None, limit: int, cursor: str | None, url: str | None, as_json: bool
) -> None:
    """List the dead letters, redrive or discard them."""
    if context.invoked_subcommand:
        _refuse_options(context)
        return
    with connect(url) as client:
        page = client.dead(type=type_, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    rows = [(one.id, one.reason, one.attempts, one.crashes, _first_line(one), one.died_at) for one in page.items]
    columns = ("id", "reason", "attempts", "crashes", "error", "died at")
    print_table("dead letters", columns, rows, "no dead letters")
    if page.next_cursor:
        click.echo(f"more: millstream dead --cursor {page.next_cursor}")


@dead.command()
@chosen_letters
def redrive(ids: tuple[str, ...], *, type_: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """Run dead jobs again, by IDS or by --type."""
    with connect(url) as client:
        _print_report(client.redrive(ids=ids or None, type=type_, limit=limit), "redriven", as_json=as_json)


@dead.command()
@chosen_letters
def discard(ids: tuple[str, ...], *, type_: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """Let dead jobs go, by IDS or by --type."""
    with connect(url) as client:
        _print_report(client.discard(ids=ids or None, type=type_, limit=limit), "discarded", as_json=as_json)


@click.command()
@url_option
@json_option
@client_errors
def queues(*, url: str | None, as_json: bool) -> None:
    """Show what the queues hold."""
    with connect(url) as client:
        found = client.queues()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.type,
            *(one.queued.get(priority, 0) for priority in ("high", "normal", "low")),
            one.running,
            one.scheduled,
            one.dead,
            f"{one.oldest_ready_age_s:.1f} s",
            "paused" if one.paused else "",
        )
        for one in found
    ]
    columns = ("type", "high", "normal", "low", "running", "scheduled", "dead", "oldest", "")
    print_table("queues", columns, rows, "no queues: nothing was submitted yet, and no worker has registered a type")


def _refuse_options(context: click.Context) -> None:
    """Refuse options before a subcommand, which would be ignored silently."""
    given = [
        name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        option = given[0].rstrip("_").replace("as_json", "json")
        raise click.UsageError(f"write --{option} after `{context.invoked_subcommand}`")


def _print_job(found: Job, *, as_json: bool) -> None:
    print_json(found) if as_json else print_fields(found)


def _print_report(report: ActionReport, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        click.echo(f"{report.done} {done}, {report.refused} refused")
        for item in report.items:
            if item.detail:
                click.echo(f"  {item.id}: {item.detail}", err=True)
    if report.refused:
        sys.exit(1)


def _first_line(letter: Any) -> str:
    if letter.error is None:
        return ""
    return f"{letter.error.type}: {letter.error.message.partition(chr(10))[0][:80]}"


def _payload(text: str | None, file: Path | None) -> Any:
    if text is not None and file is not None:
        raise click.UsageError("give the payload as an argument or with --file, not both")
    if file is not None:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="PAYLOAD") from error


def _tags(pairs: tuple[str, ...]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found:
            raise click.BadParameter(f"`{pair}` is not key=value", param_hint="--tag")
        tags[key] = value
    return tags
