"""The commands about single jobs: `submit` and `job`."""

from pathlib import Path
from typing import Any

import click

from millstream import SyncClient, UnavailableError
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.job_report import print_job
from millstream_cli.client.payload_argument import payload_of
from millstream_cli.client.steps_report import print_steps
from millstream_cli.client.tag_option import read_tags, tag_option
from millstream_cli.client.timeline_report import print_logs, print_timeline
from millstream_cli.client.unique_options import read_unique, unique_options
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json
from millstream_cli.program_name import command_line
from millstream_contracts import Job, JobState, PriorityName

wait_option = click.option(
    "--wait",
    type=float,
    metavar="SECONDS",
    help="How long to wait for the job to end. Exits with 1 unless it succeeds.",
)


@click.command()
@click.argument("type")
@click.argument("payload", required=False)
@click.option("--file", "file", type=click.Path(path_type=Path), help="Read the payload from a file; - is stdin.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="Which jobs run first.")
@click.option("--key", metavar="KEY", help="Group it by this, such as a customer; limits may hold for each key.")
@click.option("--delay", type=float, metavar="SECONDS", help="The time from now until it may run.")
@click.option(
    "--after", multiple=True, metavar="ID", help="Wait until this job has succeeded. More than once: for several."
)
@click.option(
    "--after-failure",
    type=click.Choice(["wait", "cancel", "run"]),
    help="What becomes of it when such a job does not succeed.",
)
@click.option("--max-attempts", type=int, help="How often to try, instead of what its type says.")
@click.option("--timeout", type=float, metavar="SECONDS", help="The longest time that an attempt may take.")
@tag_option
@click.option("--callback", metavar="URL", help="Call this URL when the job settles.")
@unique_options
@click.option("--template", metavar="NAME", help="Take what is left out from this template.")
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
    after: tuple[str, ...],
    wait: float | None,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Submit a job of TYPE with a JSON PAYLOAD."""
    options["tags"] = read_tags(tags) or None
    options["after"] = after or None
    options["unique"] = read_unique(options)
    with connect(url) as client:
        found = client.submit(type, payload_of(payload, file), **options).job
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
@click.option("--run-now", "action", flag_value="run-now", help="Have it ready before its time.")
@click.option(
    "--priority", type=click.Choice(["high", "normal", "low"]), help="Give it this priority, before it starts."
)
@click.option("--steps", "action", flag_value="steps", help="Show what its durable handler has stored.")
@click.option("--fresh", is_flag=True, help="With --retry: forget what its durable handler has stored.")
@click.option("--timeline", "action", flag_value="timeline", help="Show all that happened to it, from the history.")
@click.option("--logs", "action", flag_value="logs", help="Show the last log lines of its attempts, from the history.")
@url_option
@json_option
@client_errors
def job(
    job_id: str,
    *,
    wait: float | None,
    action: str | None,
    fresh: bool,
    priority: PriorityName | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Show a job, its timeline, logs or steps, cancel it, run it again or before its time, or change its priority."""
    _check_options(wait, action, fresh=fresh, priority=priority)
    with connect(url) as client:
        if action in {"timeline", "logs"}:
            timeline = client.timeline(job_id, logs=action == "logs")
            report = print_logs if action == "logs" else print_timeline
            print_json(timeline) if as_json else report(timeline)
            return
        if action == "steps":
            steps = client.steps(job_id)
            print_json(steps) if as_json else print_steps(steps)
            return
        found = _acted_on(client, job_id, action, fresh=fresh, priority=priority)
        if wait is not None:
            found = _wait(client, job_id, wait)
    _show(found, as_json=as_json)
    if wait is not None and action != "cancel":
        _exit_unless_succeeded(found)


def _check_options(wait: float | None, action: str | None, *, fresh: bool, priority: PriorityName | None) -> None:
    if priority is not None and action is not None:
        raise click.UsageError(f"--priority and --{action} exclude each other")
    if action in {"timeline", "logs", "steps"} and wait is not None:
        raise click.UsageError(f"--{action} and --wait exclude each other")
    if fresh and action != "retry":
        raise click.UsageError("--fresh goes with --retry")


def _acted_on(
    client: SyncClient, job_id: str, action: str | None, *, fresh: bool, priority: PriorityName | None
) -> Job:
    if priority is not None:
        return client.set_priority(job_id, priority)
    match action:
        case "cancel":
            return client.cancel(job_id)
        case "retry":
            return client.retry(job_id, fresh=fresh)
        case "run-now":
            return client.run_now(job_id)
        case _:
            return client.get(job_id)


def _wait(client: SyncClient, job_id: str, seconds: float) -> Job:
    """Return a job once it has settled. A wait that is broken off prints the id of the job."""
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
