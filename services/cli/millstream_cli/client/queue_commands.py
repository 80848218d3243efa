"""The commands about queues: `queues`, and what is set of one."""

from datetime import UTC, datetime
from typing import Any

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.limit_options import limit_options, limits_of
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.command_group import CommandGroup
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago, lasting, printable
from millstream_contracts import BreakerState, BreakerStatus, QueueKey, QueueSettings, QueueStatus


@click.group(cls=CommandGroup, invoke_without_command=True)
@url_option
@json_option
@click.pass_context
@client_errors
def queues(context: click.Context, *, url: str | None, as_json: bool) -> None:
    """Show what the queues hold, pause one, or limit its jobs."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        found = client.queues()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.type,
            *(one.queued.get(priority, 0) for priority in ("high", "normal", "low")),
            one.parked or "",
            one.running,
            one.scheduled,
            one.blocked,
            one.dead,
            lasting(one.oldest_ready_age_s) if one.oldest_ready_age_s else "",
            _trouble(one),
        )
        for one in found
    ]
    columns = ("type", "high", "normal", "low", "held back", "running", "scheduled", "blocked", "dead", "oldest", "")
    print_table("queues", columns, rows, "no queues: nothing was submitted yet, and no worker has registered a type")


@queues.command()
@click.argument("type")
@url_option
@json_option
@client_errors
def show(type: str, *, url: str | None, as_json: bool) -> None:
    """Show whether a queue is paused, and its limits."""
    with connect(url) as client:
        _show(client.queue_settings(type), as_json=as_json)


@queues.command()
@click.argument("type")
@click.option("--sort", type=click.Choice(["parked", "key"]), default="parked", help="What they are sorted by.")
@page_options(100)
@url_option
@json_option
@client_errors
def keys(type: str, *, sort: Any, cursor: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """List the keys that have jobs in a queue with limits, those with the most waiting jobs first."""
    with connect(url) as client:
        page = client.queue_keys(type, sort=sort, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        ("(none)" if one.key is None else one.key, one.parked, one.in_flight, f"{one.weight:g}", _free(one))
        for one in page.items
    ]
    print_table(
        "keys", ("key", "waiting", "in flight", "weight", "rate free"), rows, "no key has jobs that limits count"
    )
    tell_next_page(page.next_cursor)


@queues.command()
@click.argument("type")
@limit_options
@url_option
@json_option
@client_errors
def limit(type: str, *, url: str | None, as_json: bool, **options: Any) -> None:
    """Limit the jobs of a type, over all workers together.

    The limits take the place of those that it had, and are in force at once. What runs is not stopped.
    """
    given = limits_of(options)
    with connect(url) as client:
        found = client.limit_queue(type, **given)
    _show(found, as_json=as_json)


@queues.command(name="unhold")
@click.argument("type")
@click.option("--key", metavar="KEY", help="The key that is held back, in place of the whole type.")
@url_option
@json_option
@client_errors
def end_hold(type: str, *, key: str | None, url: str | None, as_json: bool) -> None:
    """Let the jobs start that a handler holds back until a later time, as with a Retry-After."""
    with connect(url) as client:
        _show(client.end_hold(type, key=key), as_json=as_json)


@queues.group()
def breaker() -> None:
    """Open or close the circuit breaker of a queue by hand."""


@breaker.command(name="open")
@click.argument("type")
@click.option("--reason", default="", help="Why, for those who find it open.")
@url_option
@json_option
@client_errors
def open_breaker(type: str, *, reason: str, url: str | None, as_json: bool) -> None:
    """Let no job of a type start until its breaker is closed by hand. What runs goes on, and jobs are accepted."""
    with connect(url) as client:
        _show(client.open_breaker(type, reason=reason), as_json=as_json)


@breaker.command(name="close")
@click.argument("type")
@url_option
@json_option
@client_errors
def close_breaker(type: str, *, url: str | None, as_json: bool) -> None:
    """Let the jobs of a type start again, and count failures from zero."""
    with connect(url) as client:
        _show(client.close_breaker(type), as_json=as_json)


@queues.command()
@click.argument("type")
@url_option
@json_option
@client_errors
def unlimit(type: str, *, url: str | None, as_json: bool) -> None:
    """Remove the limits of a type: what they held back may start at once."""
    with connect(url) as client:
        _show(client.unlimit_queue(type), as_json=as_json)


@queues.command()
@click.argument("type")
@click.option("--reason", default="", help="Why, for those who find it paused.")
@url_option
@json_option
@client_errors
def pause(type: str, *, reason: str, url: str | None, as_json: bool) -> None:
    """Let workers get no job of a type until it is resumed. What runs goes on, and jobs are accepted."""
    with connect(url) as client:
        _show(client.pause_queue(type, reason=reason), as_json=as_json)


@queues.command()
@click.argument("type")
@url_option
@json_option
@client_errors
def resume(type: str, *, url: str | None, as_json: bool) -> None:
    """Let a paused queue go on."""
    with connect(url) as client:
        _show(client.resume_queue(type), as_json=as_json)


def _trouble(found: QueueStatus) -> str:
    if found.paused:
        return "paused"
    if found.breaker not in {None, BreakerState.CLOSED}:
        return f"breaker {found.breaker}"
    return "" if found.held_until is None else f"held for {_until(found.held_until)}"


def _until(at: datetime) -> str:
    return lasting(max(0.0, (at - datetime.now(UTC)).total_seconds()))


def _breaker(found: BreakerStatus, now: datetime) -> str:
    since = f" {ago(found.since, now)}" if found.since else ""
    failed = f", {found.failed:,} of {found.attempts:,} attempts failed" if found.attempts else ""
    until = f", until {found.until:%H:%M:%S}" if found.until else ""
    return f"{found.state}{since}{failed}{until}{': ' + printable(found.reason) if found.reason else ''}"


def _free(found: QueueKey) -> str:
    if found.held_until is not None:
        return f"held for {_until(found.held_until)}"
    return "now" if found.free_at is None else f"in {_until(found.free_at)}"


def _show(found: QueueSettings, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    click.echo(f"type      {found.type}")
    if found.paused:
        since = f" {ago(found.paused_at, now)}" if found.paused_at else ""
        click.echo(f"paused    yes{since}{': ' + printable(found.pause_reason) if found.pause_reason else ''}")
    else:
        click.echo("paused    no")
    by = "declared by its handler" if found.limits_source == "handler" else "set"
    since = f", {by} {ago(found.limits_set_at, now)}" if found.limits_set_at else ""
    click.echo(f"limits    {found.limits.in_words + since if found.limits else 'none'}")
    if found.declared and found.limits_source == "operator":
        click.echo(f"declared  {found.declared.in_words}")
    if found.held_until:
        by = f", by the handler of {found.held_by}" if found.held_by else ""
        click.echo(f"held      for {_until(found.held_until)}{by}")
    if found.breaker:
        click.echo(f"breaker   {_breaker(found.breaker, now)}")
