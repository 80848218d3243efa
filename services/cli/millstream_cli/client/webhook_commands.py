"""The commands about endpoints of webhooks: `webhooks`, and what is done with one."""

from datetime import UTC, datetime
from typing import Any

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.command_group import CommandGroup
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago, printable, short_error
from millstream_contracts import ENDS, JobEvent, SecretWebhook, Webhook

_EVENTS = [str(event) for event in JobEvent]


@click.group(cls=CommandGroup, invoke_without_command=True)
@url_option
@json_option
@click.pass_context
@client_errors
def webhooks(context: click.Context, *, url: str | None, as_json: bool) -> None:
    """List the endpoints that events of jobs go to, make and change them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        found = client.webhooks()
    if as_json:
        print_json(found)
        return
    rows = [(one.id, one.url, ",".join(one.types), ",".join(one.events), _state(one)) for one in found]
    print_table("webhooks", ("id", "url", "types", "events", "state"), rows, "no endpoints")


@webhooks.command()
@click.argument("receiver")
@click.option("--type", "types", multiple=True, help="A job type, or a pattern such as email.*; may be given again.")
@click.option("--event", "events", multiple=True, type=click.Choice(_EVENTS), help="Which events; may be given again.")
@click.option("--payloads", is_flag=True, help="Send payload and result of the jobs too.")
@click.option("--description", default="", help="What it is for.")
@url_option
@json_option
@client_errors
def add(
    receiver: str,
    *,
    types: tuple[str, ...],
    events: tuple[str, ...],
    payloads: bool,
    description: str,
    url: str | None,
    as_json: bool,
) -> None:
    """Make an endpoint for the URL of a RECEIVER, and show its secret."""
    with connect(url) as client:
        made = client.add_webhook(
            receiver, types=types or ("*",), events=events or ENDS, payloads=payloads, description=description
        )
    _show(made, as_json=as_json)


@webhooks.command()
@click.argument("webhook_id")
@url_option
@json_option
@client_errors
def show(webhook_id: str, *, url: str | None, as_json: bool) -> None:
    """Show an endpoint."""
    with connect(url) as client:
        _show(client.webhook(webhook_id), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id")
@click.option("--to", "receiver", metavar="URL", help="Another URL.")
@click.option("--type", "types", multiple=True, help="Job types in place of the present ones.")
@click.option("--event", "events", multiple=True, type=click.Choice(_EVENTS), help="Events in place of those.")
@click.option("--payloads/--no-payloads", default=None, help="Whether payload and result are sent.")
@click.option("--description", help="What it is for.")
@url_option
@json_option
@client_errors
def change(
    webhook_id: str,
    *,
    receiver: str | None,
    types: tuple[str, ...],
    events: tuple[str, ...],
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Change an endpoint."""
    with connect(url) as client:
        changed = client.change_webhook(webhook_id, url=receiver, types=types or None, events=events or None, **options)
    _show(changed, as_json=as_json)


@webhooks.command()
@click.argument("webhook_id")
@url_option
@client_errors
def remove(webhook_id: str, *, url: str | None) -> None:
    """Remove an endpoint."""
    with connect(url) as client:
        client.remove_webhook(webhook_id)


@webhooks.command()
@click.argument("webhook_id")
@url_option
@json_option
@client_errors
def rotate(webhook_id: str, *, url: str | None, as_json: bool) -> None:
    """Replace the secret of an endpoint; for 24 hours calls have the signatures of both."""
    with connect(url) as client:
        _show(client.rotate_webhook(webhook_id), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", default="callbacks")
@url_option
@json_option
@client_errors
def secret(webhook_id: str, *, url: str | None, as_json: bool) -> None:
    """Show the secret of an endpoint; without one, that of the callbacks of jobs."""
    with connect(url) as client:
        found = client.webhook_secret(webhook_id)
    print_json(found) if as_json else click.echo(found.secret)


@webhooks.command()
@click.argument("webhook_id")
@url_option
@json_option
@client_errors
def enable(webhook_id: str, *, url: str | None, as_json: bool) -> None:
    """Let an endpoint get events again."""
    with connect(url) as client:
        _show(client.enable_webhook(webhook_id), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id")
@url_option
@json_option
@client_errors
def disable(webhook_id: str, *, url: str | None, as_json: bool) -> None:
    """Let an endpoint get no more events."""
    with connect(url) as client:
        _show(client.disable_webhook(webhook_id), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id")
@url_option
@json_option
@client_errors
def test(webhook_id: str, *, url: str | None, as_json: bool) -> None:
    """Send a test to an endpoint."""
    with connect(url) as client:
        job = client.test_webhook(webhook_id)
    print_json(job) if as_json else click.echo(job.id)


@webhooks.command()
@click.argument("webhook_id", default="callbacks")
@page_options()
@url_option
@json_option
@client_errors
def deliveries(webhook_id: str, *, limit: int, cursor: str | None, url: str | None, as_json: bool) -> None:
    """List what went to an endpoint, newest first; without one, to the callbacks of jobs."""
    with connect(url) as client:
        page = client.webhook_deliveries(webhook_id, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    now = datetime.now(UTC)
    rows = [
        (
            one.id,
            ago(one.created_at, now),
            (one.tags or {}).get("event", ""),
            one.state,
            one.attempts,
            short_error(one.error),
        )
        for one in page.items
    ]
    print_table("deliveries", ("id", "made", "event", "state", "attempts", "error"), rows, "no deliveries")
    tell_next_page(page.next_cursor)


@webhooks.command()
@click.argument("webhook_id")
@click.argument("job_id")
@url_option
@json_option
@client_errors
def redeliver(webhook_id: str, job_id: str, *, url: str | None, as_json: bool) -> None:
    """Deliver the event of the delivery JOB_ID once more."""
    with connect(url) as client:
        job = client.redeliver(webhook_id, job_id)
    print_json(job) if as_json else click.echo(job.id)


def _show(webhook: Webhook, *, as_json: bool) -> None:
    if as_json:
        print_json(webhook)
        return
    fields = {
        "id": webhook.id,
        "url": webhook.url,
        "types": ", ".join(webhook.types),
        "events": ", ".join(webhook.events),
        "payloads": "yes" if webhook.payloads else "no",
        "state": _state(webhook),
        "description": webhook.description,
    }
    if isinstance(webhook, SecretWebhook):
        fields["secret"] = webhook.secret
    for label, text in fields.items():
        if text:
            click.echo(f"{label:>12}  {printable(text)}")


def _state(webhook: Webhook) -> str:
    if webhook.disabled_at is not None:
        return f"disabled: {webhook.disabled_reason}"
    return "failing" if webhook.failing_since else "enabled"
