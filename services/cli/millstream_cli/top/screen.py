"""Draws the screen of `top`, of the size of the terminal."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from millstream_cli.top.rows import COLUMNS, NUMBERS, cells_of, job_cells
from millstream_cli.top.snapshot import Snapshot
from millstream_cli.top.view import Table, View
from millstream_cli.wording import lasting, printable
from millstream_contracts import Job

MARKED, UNMARKED = "▸ ", "  "
BLOCKS = "▁▂▃▄▅▆▇█"
LEAST_ROWS = 3
"""Of each table, however small the terminal is."""
_ABOVE, _BELOW, _OF_TABLE = 4, 1, 2
"""Lines above the tables and below them, and of each table beside its rows."""

HELP = (
    ("j k, arrows", "move in the table"),
    ("Tab", "go to the next table"),
    ("Enter", "list the jobs of the row"),
    ("Esc", "go back"),
    ("p", "pause and resume updates"),
    ("?", "this list"),
    ("q", "quit"),
)


def draw(
    view: View, snapshot: Snapshot, jobs: Sequence[Job] | None, state: Text, address: str, height: int
) -> RenderableType:
    """Return the whole screen; `state` says how fresh it is."""
    head = [
        Text.assemble((f"Millstream  {address}  ", "bold"), state),
        totals(snapshot),
        throughput(snapshot),
        Text(""),
    ]
    foot = Text("j k move   Tab table   Enter jobs   p pause   ? keys   q quit", "dim")
    if view.has_help:
        return Group(*head, _help(), foot)
    if view.jobs is not None:
        foot = Text("j k move   Esc back   p pause   ? keys   q quit", "dim")
        return Group(*head, _jobs(view, jobs, height - _ABOVE - _BELOW - _OF_TABLE), foot)
    return Group(*head, *_tables(view, snapshot, height), foot)


def freshness(age_s: float, *, is_paused: bool, error: str) -> Text:
    """Return how fresh what is shown is: by shape and word, not by colour alone."""
    if is_paused:
        return Text(f"○ paused, {lasting(age_s)} old", "yellow")
    if error:
        return Text(f"■ {printable(error)}, {lasting(age_s)} old", "red")
    return Text("● live", "green")


def totals(snapshot: Snapshot) -> Text:
    """Return the sums of all queues and workers, in a line."""
    queues, workers = snapshot.queues, snapshot.workers
    ready = sum(sum(one.queued.values()) for one in queues)
    busy, slots = sum(one.busy for one in workers), sum(one.concurrency for one in workers)
    parts = (
        f"{ready:,} ready",
        f"{sum(one.running for one in queues):,} running",
        f"{sum(one.scheduled for one in queues):,} scheduled",
        f"{sum(one.dead for one in queues):,} dead",
        f"{len(workers):,} worker{'' if len(workers) == 1 else 's'}, {busy:,} of {slots:,} busy",
    )
    return Text("   ".join(parts))


def throughput(snapshot: Snapshot) -> Text:
    """Return how many jobs ended in each minute of the last hour, as a line of blocks."""
    if snapshot.past is None:
        return Text("no history: no throughput and no errors", "dim")
    points = snapshot.past.stats.points
    ended = [point.succeeded + point.dead for point in points]
    failed = sum(point.retried + point.dead for point in points)
    summary = f"  {sum(ended):,} ended and {failed:,} attempts failed in the last hour"
    return Text.assemble((sparkline(ended), "cyan"), summary)


def sparkline(values: Sequence[int]) -> str:
    """Return numbers as blocks; nothing is the lowest one."""
    top = max(values, default=0) or 1
    return "".join(BLOCKS[-(-value * (len(BLOCKS) - 1) // top)] for value in values)


def _tables(view: View, snapshot: Snapshot, height: int) -> Iterator[RenderableType]:
    tables = [table for table in Table if table is not Table.DEAD or snapshot.past is not None]
    room = height - _ABOVE - _BELOW - _OF_TABLE * len(tables)
    sizes = _share(room, [len(view.rows(snapshot, table)) for table in tables])
    for table, size in zip(tables, sizes, strict=True):
        rows = view.rows(snapshot, table)
        chosen = view.at(snapshot, table) if table is view.table else None
        first = _first(chosen or 0, size, len(rows))
        cells = [cells_of(one, snapshot) for one in rows[first : first + size]]
        title = f"{table} ({len(rows):,})"
        yield _grid(
            title, COLUMNS[table], cells, None if chosen is None else chosen - first, is_open=table is view.table
        )


def _share(room: int, wanted: Sequence[int]) -> list[int]:
    """Return how many rows each table gets: what it needs, and of what is short, the first tables more."""
    sizes, left = [], max(room, LEAST_ROWS * len(wanted))
    for place, number in enumerate(wanted):
        others = LEAST_ROWS * (len(wanted) - place - 1)
        size = max(LEAST_ROWS, min(number, left - others))
        sizes.append(size)
        left -= size
    return sizes


def _first(chosen: int, size: int, count: int) -> int:
    """Return the first row that is shown, so that the chosen one is among them."""
    return max(0, min(chosen - size // 2, count - size))


def _jobs(view: View, jobs: Sequence[Job] | None, room: int) -> RenderableType:
    assert view.jobs is not None
    title = view.jobs.title if jobs is None else f"{view.jobs.title} ({len(jobs):,})"
    size = max(LEAST_ROWS, room)
    rows, at = jobs or (), min(view.job_at, len(jobs or ()) - 1)
    first, now = _first(at, size, len(rows)), datetime.now(UTC)
    cells = [job_cells(one, now) for one in rows[first : first + size]]
    if jobs is None:
        cells = [("reading…", "", "", "", "")]
    elif not jobs:
        cells = [("none", "", "", "", "")]
    return _grid(title, COLUMNS["jobs"], cells, at - first if jobs else None, is_open=True)


def _grid(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], chosen: int | None, *, is_open: bool
) -> Grid:
    grid = Grid(
        title=Text(printable(title)),
        title_justify="left",
        title_style="bold underline" if is_open else "bold",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        expand=True,
    )
    for place, column in enumerate(columns):
        is_last = place == len(columns) - 1
        grid.add_column(
            f"{UNMARKED}{column}" if place == 0 else column,
            justify="right" if column in NUMBERS else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if is_last else None,
            header_style="dim",
        )
    for place, row in enumerate(rows):
        # As Text: rich would read brackets in the text of users as markup.
        marked = [Text((MARKED if place == chosen else UNMARKED) + row[0]), *(Text(cell) for cell in row[1:])]
        grid.add_row(*marked, style="reverse" if place == chosen else "")
    return grid


def _help() -> Grid:
    return _grid("Keys", ("key", "does"), HELP, None, is_open=True)
