"""The commands about single jobs and lists of them: `submit`, `job`, `jobs`."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from millstream import SyncClient, UnavailableError
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.job_report import print_job
from millstream_cli.client.next_page import tell_next_page
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.program_name import command_line
from millstream_cli.wording import ago, short_error
from millstream_contracts import Job, JobState

LISTED_STATES = [state.value for state in (JobState.RUNNING, JobState.QUEUED, JobState.SCHEDULED, JobState.DEAD)]
"""States that `GET /v1/jobs` lists: those of jobs that have not ended."""

wait_option = click.option(
    "--wait", type=float, metavar="SECONDS", help="Wait so long for the job to end. Exits with 1 unless it succeeds."
)


@click.command()
@click.argument("type")
@click.argument("payload", required=False)
@click.option("--file", "file", type=click.Path(path_type=Path), help="Read the payload from a file; - is stdin.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="Which jobs run first.")
@click.option("--delay", type=float, metavar="SECONDS", help="Run it no sooner than in so many seconds.")
@click.option("--max-attempts", type=int, help="How often to try, instead of what its type says.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Stop an attempt after so many seconds.")
@click.option("--tag", "tags", multiple=True, help="key=value; may be given again.")
@click.option("--callback", metavar="URL", help="Call this URL when the job settles.")
@click.option("--idempotency-key", help="The same key makes no second job.")
@wait_option
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
        found = client.submit(type, _payload(payload, file), **options).job
        if wait is not None:
            found = _wait(client, found.id, wait)
    _show(found, as_json=as_json)
    if wait is not None:
        _exit_unless_succeeded(found)


@click.command()
@click.argument("job_id")
@wait_option
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
            found = _wait(client, job_id, wait)
    _show(found, as_json=as_json)
    if wait is not None and action != "cancel":
        _exit_unless_succeeded(found)


@click.command()
@click.option("--running", is_flag=True, help="Only those that run; the same as --state running.")
@click.option("--type", "type_", help="Only those of one job type.")
@click.option("--state", type=click.Choice(LISTED_STATES), help="Only those in one state.")
@click.option("--limit", type=int, default=50, show_default=True, help="How many at most.")
@click.option("--cursor", help="Go on where an earlier list ended.")
@url_option
@json_option
@client_errors
def jobs(
    *,
    running: bool,
    type_: str | None,
    state: str | None,
    limit: int,
    cursor: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """List the jobs that have not ended."""
    if running and state not in {None, JobState.RUNNING}:
        raise click.UsageError(f"--running and --state {state} exclude each other")
    with connect(url) as client:
        page = client.jobs(type=type_, state=JobState.RUNNING if running else state, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    now = datetime.now(UTC)
    print_table(
        "jobs", ("id", "state", "since", "attempts", "details"), [_row(one, now) for one in page.items], "no jobs"
    )
    tell_next_page(page.next_cursor)


def _row(listed: Job, now: datetime) -> Sequence[object]:
    moments = {
        JobState.RUNNING: listed.started_at,
        JobState.SCHEDULED: listed.run_at,
        JobState.DEAD: listed.finished_at,
    }
    since = moments.get(listed.state) or listed.created_at
    return listed.id, listed.state.value, ago(since, now), listed.attempts, _details(listed)


def _details(listed: Job) -> str:
    """Return what matters about a job in its state: who runs it and how far it is, or why it failed."""
    if listed.state is JobState.RUNNING:
        progress = listed.progress
        return f"{listed.worker or ''}" + (f" {progress.percent:g} % {progress.note}" if progress else "")
    return short_error(listed.error) or listed.reason or ""


def _wait(client: SyncClient, job_id: str, seconds: float) -> Job:
    """Return a job once it has settled. Whatever ends the wait, the id of the job is told."""
    try:
        return client.wait(job_id, seconds)
    except (UnavailableError, KeyboardInterrupt):
        goes_on = command_line("job", job_id, "--wait", f"{seconds:g}")
        click.echo(f"millstream: the job goes on; wait for it again with: {goes_on}", err=True)
        raise


def _show(found: Job, *, as_json: bool) -> None:
    print_json(found) if as_json else print_job(found)


def _exit_unless_succeeded(found: Job) -> None:
    if found.state is not JobState.SUCCEEDED:
        raise click.exceptions.Exit(ExitCode.FAILED)


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
