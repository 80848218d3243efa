"""The commands about keys of the API: `keys`, and what is done with one."""

import os
from datetime import UTC, datetime, timedelta

import anyio
import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.client.request_limits import limit_options, limits_text
from millstream_cli.command_group import CommandGroup
from millstream_cli.first_key import make_first_key
from millstream_cli.lengths import Length
from millstream_cli.output import json_option, one_line_errors, print_json, print_table
from millstream_cli.settings import DoctorSettings, load
from millstream_cli.wording import ago, printable
from millstream_contracts import GRANTABLE, ApiKey, RequestLimits, Role, SecretApiKey
from millstream_streams import StoreError

_ROLES = [str(role) for role in Role]
_SCOPES = [str(scope) for scope in GRANTABLE]


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--tenant", help="Whose keys, for those who manage tenants.")
@page_options(100)
@url_option
@json_option
@click.pass_context
@client_errors
def keys(
    context: click.Context, *, tenant: str | None, cursor: str | None, limit: int, url: str | None, as_json: bool
) -> None:
    """List the keys of the API, make, rotate and revoke them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        page = client.keys(tenant=tenant, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    now = datetime.now(UTC)
    rows = [(one.id, one.name, _role(one), _ends(one, now), _used(one, now)) for one in page.items]
    print_table("keys", ("id", "name", "role", "expires", "last used"), rows, "no keys")
    tell_next_page(page.next_cursor)


@keys.command()
@click.argument("key_id")
@url_option
@json_option
@client_errors
def show(key_id: str, *, url: str | None, as_json: bool) -> None:
    """Show a key, without its secret."""
    with connect(url) as client:
        _show(client.key(key_id), as_json=as_json)


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), help="What it may do.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), help="In place of a role; repeatable.")
@click.option("--expires", type=Length(), metavar="LENGTH", help="For how long it works, such as 90d.")
@click.option("--types", multiple=True, metavar="PATTERN", help="Only for job types such as email.*; repeatable.")
@click.option("--networks", multiple=True, metavar="CIDR", help="Only from networks such as 10.0.0.0/8; repeatable.")
@click.option("--tenant", help="For another tenant, by those who manage tenants.")
@limit_options
@url_option
@json_option
@client_errors
def create(
    name: str,
    *,
    role: str | None,
    scopes: tuple[str, ...],
    expires: timedelta | None,
    types: tuple[str, ...],
    networks: tuple[str, ...],
    tenant: str | None,
    limits: RequestLimits | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Make a key with a NAME that says what it is for, and show its secret, this once."""
    with connect(url) as client:
        made = client.create_key(
            name,
            role=role,
            scopes=scopes or None,
            expires_in=expires,
            tenant=tenant,
            types=types,
            networks=networks,
            limits=limits,
        )
    _show(made, as_json=as_json)


@keys.command()
@click.argument("key_id")
@limit_options
@url_option
@json_option
@client_errors
def limit(
    key_id: str,
    *,
    limits: RequestLimits | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Set the limits of a key, all of them. What is left out follows the settings of ingest."""
    with connect(url) as client:
        _show(client.change_key(key_id, limits=limits or RequestLimits()), as_json=as_json)


@keys.command()
@click.argument("key_id")
@click.option("--overlap", type=Length(), metavar="LENGTH", help="How long the old key still works; 1d by default.")
@url_option
@json_option
@client_errors
def rotate(key_id: str, *, overlap: timedelta | None, url: str | None, as_json: bool) -> None:
    """Make the successor of a key, and show its secret."""
    with connect(url) as client:
        _show(client.rotate_key(key_id, overlap=overlap), as_json=as_json)


@keys.command()
@click.argument("key_id")
@url_option
@client_errors
def revoke(key_id: str, *, url: str | None) -> None:
    """Revoke a key. Within five seconds no ingest takes it any more."""
    with connect(url) as client:
        client.revoke_key(key_id)


@keys.command()
@click.option("--name", default="bootstrap", show_default=True, help="What it is for.")
@click.option("--expires", type=Length(), metavar="LENGTH", help="For how long it works, such as 90d.")
@json_option
@one_line_errors(StoreError)
def bootstrap(*, name: str, expires: timedelta | None, as_json: bool) -> None:
    """Make a first key of the role admin, in the Redis of MILLSTREAM_REDIS_URL.

    It needs the rights of ingest on Redis, and no key.
    """
    made = anyio.run(make_first_key, load(DoctorSettings, os.environ), name, expires)
    _show(made, as_json=as_json)


def _show(one: ApiKey, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    now = datetime.now(UTC)
    shown = {
        "id": one.id,
        "name": one.name,
        "tenant": one.tenant,
        "role": _role(one),
        "scopes": ", ".join(one.scopes),
        "types": ", ".join(one.types),
        "networks": ", ".join(one.networks),
        "created by": one.created_by or "an ingest without keys",
        "expires": _ends(one, now),
        "last used": _used(one, now),
        "successor": one.successor or "",
        "limits": limits_text(one.limits),
    }
    for label, value in shown.items():
        if value:
            click.echo(f"{label:<14} {printable(value)}")
    if isinstance(one, SecretApiKey):
        click.echo(f"{'key':<14} {one.key}")
        click.echo("It is shown this once: only its hash is kept.", err=True)


def _role(one: ApiKey) -> str:
    return str(one.role) if one.role else "scopes of its own"


def _ends(one: ApiKey, now: datetime) -> str:
    if one.expires_at is None:
        return "never"
    return "expired" if one.expires_at <= now else f"{one.expires_at:%Y-%m-%d %H:%M} UTC"


def _used(one: ApiKey, now: datetime) -> str:
    return ago(one.last_used_at, now) if one.last_used_at else "never"
