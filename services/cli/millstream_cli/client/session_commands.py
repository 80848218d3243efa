"""The commands about sessions: `sessions`, and what is done with one."""

from datetime import UTC, datetime, timedelta

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.command_group import CommandGroup
from millstream_cli.lengths import Length
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago, printable


@click.group(cls=CommandGroup, invoke_without_command=True)
@page_options(100)
@url_option
@json_option
@click.pass_context
@client_errors
def sessions(context: click.Context, *, cursor: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """List who is signed in, open sessions and end them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        page = client.sessions(cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    now = datetime.now(UTC)
    rows = [
        (
            one.id,
            one.name,
            one.key_id,
            str(one.role or "scopes of its own"),
            f"{one.expires_at:%Y-%m-%d %H:%M} UTC",
            ago(one.last_used_at, now) if one.last_used_at else "never",
        )
        for one in page.items
    ]
    print_table("sessions", ("id", "name", "key", "role", "expires", "last used"), rows, "no sessions")
    tell_next_page(page.next_cursor)


@sessions.command("open")
@click.option("--expires", type=Length(), metavar="LENGTH", help="For how long it works; 12h by default, and at most.")
@url_option
@json_option
@client_errors
def open_one(*, expires: timedelta | None, url: str | None, as_json: bool) -> None:
    """Exchange the key of MILLSTREAM_API_KEY for a token with the same rights, and show it, this once."""
    with connect(url) as client:
        opened = client.open_session(expires_in=expires)
    if as_json:
        print_json(opened)
        return
    shown = {"id": opened.id, "name": opened.name, "expires": f"{opened.expires_at:%Y-%m-%d %H:%M} UTC"}
    for label, value in shown.items():
        click.echo(f"{label:<14} {printable(value)}")
    click.echo(f"{'token':<14} {opened.token}")
    click.echo("It is shown this once: only its hash is kept.", err=True)


@sessions.command()
@click.argument("session_id", default="current")
@url_option
@client_errors
def end(session_id: str, *, url: str | None) -> None:
    """End a session, by default the one in MILLSTREAM_API_KEY. Within five seconds no ingest takes it any more."""
    with connect(url) as client:
        client.end_session(session_id)
