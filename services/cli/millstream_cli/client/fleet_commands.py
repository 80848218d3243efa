"""The commands about workers and job types: `workers` and `workers drain`, `types`, `demand`."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.payload_sample import sample_words
from millstream_cli.client.type_report import print_type, timeout_of
from millstream_cli.command_group import CommandGroup
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json, print_table, tell_error
from millstream_cli.program_name import command_line
from millstream_cli.wording import ago, lasting, printable
from millstream_contracts import TypeRegistration, WorkerInfo, did_you_mean


@click.group(cls=CommandGroup, invoke_without_command=True)
@url_option
@json_option
@click.pass_context
@client_errors
def workers(context: click.Context, *, url: str | None, as_json: bool) -> None:
    """List the workers that are alive, or have one end once its jobs have ended."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        found = client.workers()
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    columns = ("worker", "state", "busy", "memory", "loop lag", "started", "seen", "types")
    print_table("workers", columns, [_worker_row(one, now) for one in found], "no workers")


@workers.command()
@click.argument("name")
@url_option
@json_option
@client_errors
def drain(name: str, *, url: str | None, as_json: bool) -> None:
    """Have the worker NAME take no more jobs, and end once those that it runs have ended, however long they take."""
    with connect(url) as client:
        found = client.drain_worker(name)
    if as_json:
        print_json(found)
        return
    busy = f"{found.busy:,} of its {found.concurrency:,} slots are busy"
    jobs = busy if found.busy else "none of its slots is busy"
    click.echo(f"{printable(found.name)} drains: {jobs}, and it ends with the last of its jobs")


def _worker_row(one: WorkerInfo, now: datetime) -> Sequence[object]:
    busy = f"{one.busy} of {one.concurrency}"
    memory = "" if one.rss_bytes is None else f"{one.rss_bytes >> 20:,} MiB"
    lag = "" if one.loop_lag_ms is None else lasting(one.loop_lag_ms / 1000)
    seen = ago(one.started_at, now), ago(one.seen_at, now)
    return one.name, one.state, busy, memory, lag, *seen, ", ".join(sorted(one.types))


@click.command()
@click.argument("type", required=False)
@url_option
@json_option
@client_errors
def types(type: str | None, *, url: str | None, as_json: bool) -> None:
    """List the job types that workers handle, or show what TYPE takes and gives."""
    with connect(url) as client:
        found = client.types()
    if type is None:
        if as_json:
            print_json(found)
        else:
            columns = ("type", "attempts", "timeout", "description")
            print_table("types", columns, [_type_row(one) for one in found], "no types: no worker has registered any")
        return
    one = next((one for one in found if one.type == type), None)
    if one is None:
        near = did_you_mean(type, [one.type for one in found])
        tell_error(f"no worker has registered this job type{near}")
        raise click.exceptions.Exit(ExitCode.REFUSED)
    if as_json:
        print_json(one)
        return
    print_type(one)
    words = sample_words(one.payload_schema)
    if words is not None:
        address = ["--url", url] if url else []
        click.echo(f"\nTry: {command_line('submit', one.type, *words, '--wait', '5', *address)}")


def _type_row(one: TypeRegistration) -> Sequence[object]:
    return one.type, one.policy.max_attempts, timeout_of(one), one.description


@click.command()
@click.argument("types", nargs=-1)
@url_option
@json_option
@client_errors
def demand(types: tuple[str, ...], *, url: str | None, as_json: bool) -> None:
    """Show how many workers there should be for TYPES, such as 'invoice.*'; without any, for all."""
    with connect(url) as client:
        found = client.demand(types or None)
    if as_json:
        print_json(found)
        return
    for label, value in (
        ("queued", found.queued),
        ("running", found.running),
        ("due soon", found.due_soon),
        ("oldest", lasting(found.oldest_ready_age_s) if found.queued else "none waits"),
        ("slots", found.slots),
        ("wanted", f"{found.wanted_workers:,} worker{'' if found.wanted_workers == 1 else 's'}"),
    ):
        click.echo(f"{label:>12}  {value}")
