"""`millstream history verify` and `rebuild`: whether the history agrees with Redis, and what makes it agree."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import click

from millstream_cli.command_group import CommandGroup
from millstream_cli.history.verifier import Verification, Verifier
from millstream_cli.lengths import Length
from millstream_cli.output import json_option, one_line_errors, print_json, print_table
from millstream_cli.settings import DoctorSettings, load
from millstream_history import HistoryError, open_history
from millstream_runtime.errors import SettingsError
from millstream_streams import StoreError, open_broker

SHOWN = 50
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@click.group(cls=CommandGroup)
def history() -> None:
    """Compare the history with Redis, and repair it.

    With the rights of a dispatcher on both.
    """


@history.command()
@click.option("--type", "type_", help="Only jobs of this type.")
@click.option("--since", type=Length(), help="Only jobs that were made since: 90m, 6h, 14d.")
@click.option("--fix", is_flag=True, help="Store what Redis has, and note ends that are known nowhere.")
@click.option(
    "--grace", "grace_s", type=click.FloatRange(0.0, 3_600.0), default=10.0, show_default=True,
    help="Seconds after which a difference is looked at again: it may not be stored yet.",
)  # fmt: skip
@json_option
@one_line_errors(StoreError, HistoryError)
def verify(*, type_: str | None, since: timedelta | None, fix: bool, grace_s: float, as_json: bool) -> None:
    """Compare each job that Redis has with the history, and the other way round. Exits 1 when something differs."""
    found = anyio.run(_verify, type_, since, grace_s, fix)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found.differences and not found.fixed:
        raise click.exceptions.Exit(1)


@history.command()
@click.option("--type", "type_", help="Only jobs of this type.")
@click.option("--empty", is_flag=True, help="Begin with empty tables: jobs that only the history knows are gone.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where no terminal is.")
@json_option
@one_line_errors(StoreError, HistoryError)
def rebuild(*, type_: str | None, empty: bool, yes: bool, as_json: bool) -> None:
    """Read every job that Redis has into the history again."""
    if empty and type_:
        raise click.UsageError("--empty empties the tables of all types: leave out --type")
    if empty and not yes:
        click.confirm("Delete all jobs, transitions and statistics of the history?", abort=True)
    stored = anyio.run(_rebuild, type_, empty)
    if as_json:
        print_json({"stored": stored})
    else:
        click.echo(f"{stored:,} job{'' if stored == 1 else 's'} of Redis stored")


async def _verify(job_type: str | None, since: timedelta | None, grace_s: float, fix: bool) -> Verification:
    async with _verifier(job_type, since) as verifier:
        return await verifier.verify(grace_s=grace_s, fix=fix)


async def _rebuild(job_type: str | None, empty: bool) -> int:
    async with _verifier(job_type, None, empty=empty) as verifier:
        return await verifier.store_all()


@asynccontextmanager
async def _verifier(job_type: str | None, since: timedelta | None, *, empty: bool = False) -> AsyncIterator[Verifier]:
    settings = load(DoctorSettings, os.environ)
    if settings.history_url is None:
        raise SettingsError(["MILLSTREAM_HISTORY_URL is unset: there is no history database"])
    async with (
        open_broker(settings.redis, namespace=settings.namespace) as broker,
        open_history(settings.history_url) as opened,
    ):
        await opened.look()
        known = await broker.registry.queues(with_dormant=True)
        queues = [queue for queue in known if job_type in {None, queue.type}]
        begin = _FIRST if since is None else await broker.now() - since
        if empty:
            await opened.repairer.empty()
        yield Verifier(broker, opened, queues, begin=begin)


def _show(found: Verification) -> None:
    number = len(found.differences)
    if not number:
        click.echo(f"the history agrees with Redis: {found.compared:,} job{'' if found.compared == 1 else 's'}")
        return
    rows = [(one.id, one.what) for one in found.differences[:SHOWN]]
    print_table("differences", ("id", "in the history"), rows, "")
    more = f", of which {SHOWN} are shown" if number > SHOWN else ""
    done = "; the history is repaired" if found.fixed else ""
    click.echo(f"{number:,} of {found.compared:,} jobs differ{more}{done}")
