"""The commands about templates: `templates`, and what is done with one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from millstream import NewJob
from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.paging import page_options, tell_next_page
from millstream_cli.client.payload_argument import payload_of
from millstream_cli.client.tag_option import read_tags, tag_option
from millstream_cli.client.unique_options import read_unique, unique_options
from millstream_cli.command_group import CommandGroup
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago, printable
from millstream_contracts import Template


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--name", metavar="PREFIX", help="Those whose name begins so.")
@page_options()
@url_option
@json_option
@click.pass_context
@client_errors
def templates(
    context: click.Context, *, name: str | None, cursor: str | None, limit: int, url: str | None, as_json: bool
) -> None:
    """List the templates that submissions are filled up from, and change them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        page = client.templates(name=name, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    now = datetime.now(UTC)
    rows = [(one.name, one.type, ago(one.updated_at, now), one.description) for one in page.items]
    print_table("templates", ("template", "type", "changed", "description"), rows, "no templates")
    tell_next_page(page.next_cursor)


@templates.command()
@click.argument("name")
@url_option
@json_option
@client_errors
def show(name: str, *, url: str | None, as_json: bool) -> None:
    """Show a template."""
    with connect(url) as client:
        _show(client.template(name), as_json=as_json)


@templates.command()
@click.argument("name")
@click.argument("type")
@click.argument("payload", required=False)
@click.option("--file", type=click.Path(path_type=Path), help="Read the payload from a file; - is stdin.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="Which jobs of the type run first.")
@click.option("--key", metavar="KEY", help="Group it by this, such as a customer; limits may hold for each key.")
@click.option("--max-attempts", type=int, help="How often to try, instead of what its type says.")
@click.option("--timeout", type=float, metavar="SECONDS", help="The longest time that an attempt may take.")
@unique_options
@tag_option
@click.option("--callback", metavar="URL", help="Call this URL when a job settles.")
@click.option("--description", default="", help="What it is for.")
@url_option
@json_option
@client_errors
def put(
    name: str,
    type: str,
    payload: str | None,
    *,
    file: Path | None,
    tags: tuple[str, ...],
    description: str,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make or replace the template NAME: of jobs of TYPE, with a JSON PAYLOAD or a part of one."""
    unique = read_unique(options)
    job = NewJob(type, payload_of(payload, file), tags=read_tags(tags) or None, unique=unique, **options)
    with connect(url) as client:
        _show(client.put_template(name, job, description=description), as_json=as_json)


@templates.command()
@click.argument("name")
@url_option
@client_errors
def remove(name: str, *, url: str | None) -> None:
    """Remove a template. Jobs that were submitted stay as they are."""
    with connect(url) as client:
        client.remove_template(name)


def _show(one: Template, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    for label, value in _lines(one):
        click.echo(f"{label:<14} {printable(str(value))}")


def _lines(one: Template) -> Iterator[tuple[str, Any]]:
    """Yield what is said of a template; what it leaves out is not."""
    fields = msgspec.to_builtins(one)
    for name in ("name", "description", "type"):
        if fields.get(name):
            yield name, fields.pop(name)
    for name, value in fields.items():
        yield name.replace("_", " "), value if isinstance(value, str) else msgspec.json.encode(value).decode()
