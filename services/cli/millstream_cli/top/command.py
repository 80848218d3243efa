"""The command `top`: queues, workers and failures at a glance, kept fresh on a terminal."""

import sys
import time
from contextlib import suppress

import click
from rich.console import Console, Group
from rich.live import Live

from millstream_cli.client.connection import address_of, client_errors, connect, url_option
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.top.feed import Feed
from millstream_cli.top.keyboard import Keyboard, keyboard
from millstream_cli.top.rows import COLUMNS, NUMBERS, cells_of
from millstream_cli.top.screen import draw, freshness, throughput, totals
from millstream_cli.top.snapshot import Snapshot, read_past, read_snapshot
from millstream_cli.top.view import Table, View
from millstream_runtime import mask_url

KEYS_WITHIN_S = 0.25
"""How long a key is waited for before the screen is drawn again."""

RETRY_FOR_S = 0.0
"""The next look is a repetition."""


@click.command()
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.5, 60.0),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Print it once, as in a pipe.")
@url_option
@json_option
@client_errors
def top(every_s: float, *, once: bool, url: str | None, as_json: bool) -> None:
    """Watch queues, workers and failures, until `q`.

    In a pipe, and on a terminal that cannot move its cursor, it prints them once.
    """
    console = Console()
    with connect(url, retry_for_s=RETRY_FOR_S) as client:
        past = read_past(client)
        first = read_snapshot(client, past)
        if as_json:
            print_json(first)
        elif once or not _is_interactive(console):
            _print_once(first, console)
        else:
            with suppress(KeyboardInterrupt, EOFError):
                _watch(Feed(client, first, every_s), mask_url(address_of(url)), console)


def _is_interactive(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()


def _print_once(snapshot: Snapshot, console: Console) -> None:
    view = View()
    console.print(Group(totals(snapshot), throughput(snapshot)), soft_wrap=True)
    empty = {Table.QUEUES: "no queues", Table.WORKERS: "no workers", Table.DEAD: "no job died within a day"}
    for table in Table:
        if table is Table.DEAD and snapshot.past is None:
            continue
        click.echo()
        rows = [cells_of(one, snapshot) for one in view.rows(snapshot, table)]
        print_table(table, COLUMNS[table], rows, empty[table], numbers=NUMBERS)


def _watch(feed: Feed, address: str, console: Console) -> None:
    view = View()
    with keyboard() as keys, feed, Live(console=console, screen=True, auto_refresh=False) as live:
        while not view.has_quit:
            state = freshness(time.monotonic() - feed.read_at, is_paused=view.is_paused, error=feed.error)
            live.update(draw(view, feed.snapshot, feed.jobs, state, address, console.height), refresh=True)
            _heed(view, feed, keys)


def _heed(view: View, feed: Feed, keys: Keyboard) -> None:
    if key := keys.read(KEYS_WITHIN_S):
        view.press(key, feed.snapshot, len(feed.jobs or ()))
        feed.follow(view.jobs, is_paused=view.is_paused)
