"""The commands about the audit trail: `audit`, and its verification and export."""

import re
from datetime import UTC, datetime, timedelta

import click
import msgspec

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.command_group import CommandGroup
from millstream_cli.exit_codes import ExitCode
from millstream_cli.lengths import Length
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago, printable
from millstream_contracts import MAX_AUDIT_FAULTS, AuditLink, AuditOutcome, AuditRecord

_OUTCOMES = [outcome.value for outcome in AuditOutcome]
_LINK = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--key", help="Only what the key of this id did.")
@click.option("--action", help="Only this action, such as revokeKey: the operationId of a route, or authenticate.")
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Only what ended so.")
@click.option("--target", help="Only what was done to paths that begin so, such as /v1/keys/.")
@click.option("--since", type=Length(), metavar="LENGTH", help="Only what was done in the last time, such as 7d.")
@page_options()
@url_option
@json_option
@click.pass_context
@client_errors
def audit(
    context: click.Context,
    *,
    key: str | None,
    action: str | None,
    outcome: str | None,
    target: str | None,
    since: timedelta | None,
    cursor: str | None,
    limit: int,
    url: str | None,
    as_json: bool,
) -> None:
    """List who has changed what, newest first; verify and export it."""
    if context.invoked_subcommand:
        return
    now = datetime.now(UTC)
    after = None if since is None else now - since
    with connect(url) as client:
        page = client.audit(
            key=key, action=action, outcome=outcome, target=target, after=after, cursor=cursor, limit=limit
        )
    if as_json:
        print_json(page)
        return
    columns = ("record", "when", "who", "action", "outcome", "from", "target")
    print_table("audit", columns, [_row(one, now) for one in page.items], "no audit records")
    tell_next_page(page.next_cursor)


@audit.command()
@click.option("--known", metavar="NUMBER:HASH", help="A record that an earlier verification has shown as the last.")
@url_option
@json_option
@client_errors
def verify(*, known: str | None, url: str | None, as_json: bool) -> None:
    """Read all records, and print where one was altered, removed or inserted. The exit status is 1 then.

    Keep the last line, and give it with --known the next time: a chain that was rewritten as a whole shows as well.
    """
    link = None if known is None else _link(known)
    with connect(url) as client:
        found = client.verify_audit(known=link)
    if as_json:
        print_json(found)
    else:
        for fault in found.faults:
            click.echo(f"record {fault.seq}: {printable(fault.detail)}")
        if len(found.faults) >= MAX_AUDIT_FAULTS:
            click.echo("there may be more")
        verdict = "the chain is whole" if found.is_whole else "the chain does not hold"
        click.echo(f"{found.records:,} records: {verdict}")
        if found.last:
            click.echo(f"last: {found.last.seq}:{found.last.hash}")
    if not found.is_whole:
        raise click.exceptions.Exit(ExitCode.FAILED)


@audit.command()
@click.option("--since", type=Length(), metavar="LENGTH", help="Only what was done in the last time, such as 90d.")
@url_option
@client_errors
def export(*, since: timedelta | None, url: str | None) -> None:
    """Print all records from the oldest on, one as JSON on each line."""
    after = None if since is None else datetime.now(UTC) - since
    with connect(url) as client:
        for record in client.audit_trail(after=after):
            click.echo(msgspec.json.encode(record).decode())


def _row(one: AuditRecord, now: datetime) -> tuple[object, ...]:
    who = printable(one.key_name or one.key_id) or "no key"
    outcome = one.outcome if not one.problem else f"{one.outcome}: {one.problem}"
    return one.seq, ago(one.at, now), who, printable(one.action), outcome, one.address, printable(one.target)


def _link(text: str) -> AuditLink:
    found = _LINK.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter("expected a number, a colon and 64 hex digits", param_hint="--known")
    return AuditLink(seq=int(found[1]), hash=found[2])
