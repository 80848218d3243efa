"""The commands about tenants: `tenants`, and what is done with one."""

import time

import click
import msgspec

from millstream import BulkOperation, OperationState, SyncClient
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.operation_report import print_operation
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.client.request_limits import limit_options, limits_text
from millstream_cli.command_group import CommandGroup
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import printable
from millstream_contracts import RequestLimits, TenantEncryption, TenantInfo, TenantQuotas

_ENDED = frozenset({OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED})
LOOK_EVERY_S = 1.0

_QUOTAS = [field.name for field in msgspec.structs.fields(TenantQuotas)]

quota_option = click.option(
    "--quota",
    "quotas",
    multiple=True,
    metavar="NAME=NUMBER",
    help=f"The most that it may have; repeatable: {', '.join(_QUOTAS)}.",
)
encryption_option = click.option(
    "--encryption",
    type=click.Choice([one.value for one in TenantEncryption]),
    help="Which of its jobs are stored encrypted: all, or as types and MILLSTREAM_ENCRYPT say.",
)


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--name", help="How their names begin.")
@page_options(100)
@url_option
@json_option
@click.pass_context
@client_errors
def tenants(
    context: click.Context, *, name: str | None, cursor: str | None, limit: int, url: str | None, as_json: bool
) -> None:
    """List the tenants, make and change them, suspend them and let them go on."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        page = client.tenants(name=name, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [(one.name, one.state, one.title, _quotas_of(one)) for one in page.items]
    print_table("tenants", ("name", "state", "title", "quotas"), rows, "no tenants")
    tell_next_page(page.next_cursor)


@tenants.command()
@click.argument("name")
@url_option
@json_option
@client_errors
def show(name: str, *, url: str | None, as_json: bool) -> None:
    """Show a tenant."""
    with connect(url) as client:
        _show(client.tenant(name), as_json=as_json)


@tenants.command()
@click.argument("name")
@click.option("--title", default="", help="What it is called, in words.")
@quota_option
@limit_options
@encryption_option
@url_option
@json_option
@client_errors
def create(
    name: str,
    *,
    title: str,
    quotas: tuple[str, ...],
    limits: RequestLimits | None,
    encryption: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Make a tenant. Make a key for it next: `millstream keys create --tenant NAME`."""
    read = _read_quotas(quotas)
    with connect(url) as client:
        made = client.create_tenant(
            name, title=title, quotas=read, limits=limits, encryption=encryption or TenantEncryption.INHERIT
        )
    _show(made, as_json=as_json)


@tenants.command()
@click.argument("name")
@click.option("--title", help="What it is called, in words.")
@quota_option
@click.option("--no-quotas", is_flag=True, help="Take all of its quotas away.")
@limit_options
@click.option("--no-limits", is_flag=True, help="Let its keys ask as often as they like.")
@encryption_option
@url_option
@json_option
@client_errors
def change(
    name: str,
    *,
    title: str | None,
    quotas: tuple[str, ...],
    no_quotas: bool,
    limits: RequestLimits | None,
    no_limits: bool,
    encryption: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Change a tenant. With `--quota` it has these and no others, and so with limits of its requests."""
    if quotas and no_quotas:
        raise click.UsageError("`--quota` and `--no-quotas` exclude each other")
    if limits and no_limits:
        raise click.UsageError("`--no-limits` excludes other limits")
    if title is None and not any((quotas, no_quotas, limits, no_limits, encryption)):
        raise click.UsageError("there is nothing to change: give a title, quotas, limits or `--encryption`")
    read = _read_quotas(quotas) if quotas else {} if no_quotas else None
    asked = RequestLimits() if no_limits else limits
    with connect(url) as client:
        changed = client.change_tenant(name, title=title, quotas=read, limits=asked, encryption=encryption)
    _show(changed, as_json=as_json)


@tenants.command()
@click.argument("name")
@click.option("--reason", default="", help="Why, for those who read it later.")
@url_option
@json_option
@client_errors
def suspend(name: str, *, reason: str, url: str | None, as_json: bool) -> None:
    """Let a tenant submit nothing, and no job of it start. What runs goes on."""
    with connect(url) as client:
        _show(client.suspend_tenant(name, reason=reason), as_json=as_json)


@tenants.command()
@click.argument("name")
@url_option
@json_option
@client_errors
def resume(name: str, *, url: str | None, as_json: bool) -> None:
    """Let a suspended tenant go on."""
    with connect(url) as client:
        _show(client.resume_tenant(name), as_json=as_json)


@tenants.command()
@click.argument("name")
@click.option("--confirm", required=True, metavar="NAME", help="Its name once more.")
@click.option("--no-wait", is_flag=True, help="Only begin; `millstream operations show` tells how far it is.")
@url_option
@json_option
@client_errors
def delete(name: str, *, confirm: str, no_wait: bool, url: str | None, as_json: bool) -> None:
    """Delete a tenant with its jobs, schedules, webhooks, keys and its history. It cannot be taken back."""
    with connect(url) as client:
        begun = client.delete_tenant(name, confirm=confirm)
        operation = begun if no_wait else _followed(client, begun, shows_progress=not as_json)
    print_operation(operation, as_json=as_json)
    if operation.state is OperationState.FAILED:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _followed(client: SyncClient, operation: BulkOperation, *, shows_progress: bool) -> BulkOperation:
    """Return an operation once it has ended; where `shows_progress`, print on stderr what it does."""
    printed = ""
    while operation.state not in _ENDED:
        if shows_progress and operation.detail != printed:
            printed = operation.detail
            click.echo(f"{printable(printed)}…", err=True)
        time.sleep(LOOK_EVERY_S)
        operation = client.operation(operation.id)
    return operation


def _show(one: TenantInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    shown = {
        "name": one.name,
        "title": one.title,
        "state": one.state,
        "reason": one.reason,
        "since": f"{one.changed_at:%Y-%m-%d %H:%M} UTC" if one.changed_at else "",
        "created by": one.created_by,
        "quotas": _quotas_of(one),
        "running now": "" if one.jobs_running is None else f"{one.jobs_running}",
        "limits": limits_text(one.limits),
        "encryption": "all jobs" if one.encryption is TenantEncryption.ALL else "",
    }
    for label, value in shown.items():
        if value:
            click.echo(f"{label:<14} {printable(value)}")


def _quotas_of(one: TenantInfo) -> str:
    return ", ".join(
        f"{name}={number}" for name, number in msgspec.structs.asdict(one.quotas).items() if number is not None
    )


def _read_quotas(words: tuple[str, ...]) -> dict[str, int]:
    """Return quotas by name. Raises: click.UsageError."""
    read = {}
    for word in words:
        name, _, number = word.partition("=")
        if name not in _QUOTAS or not number.isascii() or not number.isdigit():
            raise click.UsageError(f"`--quota {word}`: expected NAME=NUMBER with a name of {', '.join(_QUOTAS)}")
        read[name] = int(number)
    return read
