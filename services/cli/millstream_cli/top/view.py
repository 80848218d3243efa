"""What `top` shows: the tables, the row that is selected in each, and what a key does. It reads nothing."""

from collections.abc import Callable, Sequence
from enum import StrEnum

from millstream_cli.top.snapshot import Snapshot


class Table(StrEnum):
    """A table, by its title."""

    QUEUES = "Queues"
    WORKERS = "Workers"
    DEAD = "Dead by error, last day"


class Wanted:
    """The jobs that a page of jobs is about."""

    def __init__(self, title: str, type: str, q: str | None) -> None:
        self.title = title
        self.type = type
        self.q = q
        """The search that finds them; None for those of the type that wait, run or are dead."""


class View:
    """The state of the screen."""

    def __init__(self) -> None:
        self.table = Table.QUEUES
        self.selected = dict.fromkeys(Table, 0)
        self.jobs: Wanted | None = None
        """The page of jobs that is open."""
        self.job_at = 0
        self.is_paused = False
        self.has_help = False
        self.has_quit = False

    def press(self, key: str, snapshot: Snapshot | None, jobs: int) -> None:
        """Do what a key says. `jobs` is how many rows the page of jobs has."""
        if self.has_help:
            self.has_help = False
            return
        if action := self._keys().get(key):
            action()
        elif key in _MOVES:
            self._move(_MOVES[key], snapshot, jobs)
        elif key == "enter" and snapshot is not None and self.jobs is None:
            self.jobs, self.job_at = self._wanted(snapshot), 0

    def rows(self, snapshot: Snapshot, table: Table) -> Sequence[object]:
        """Return what the rows of a table are about."""
        match table:
            case Table.QUEUES:
                return snapshot.queues
            case Table.WORKERS:
                return snapshot.workers
        return snapshot.past.groups if snapshot.past else ()

    def at(self, snapshot: Snapshot, table: Table) -> int:
        """Return which row of a table is selected: the last one where it has become shorter."""
        return max(0, min(self.selected[table], len(self.rows(snapshot, table)) - 1))

    def _keys(self) -> dict[str, Callable[[], None]]:
        return {
            "q": self._quit,
            "?": self._help,
            "p": self._pause,
            "escape": self._leave,
            "backspace": self._leave,
            "tab": self._next_table,
        }

    def _quit(self) -> None:
        self.has_quit = True

    def _help(self) -> None:
        self.has_help = True

    def _pause(self) -> None:
        self.is_paused = not self.is_paused

    def _leave(self) -> None:
        self.jobs = None

    def _next_table(self) -> None:
        tables = list(Table)
        self.table = tables[(tables.index(self.table) + 1) % len(tables)]

    def _move(self, by: int, snapshot: Snapshot | None, jobs: int) -> None:
        if self.jobs is not None:
            self.job_at = max(0, min(self.job_at + by, jobs - 1))
        elif snapshot is not None:
            last = len(self.rows(snapshot, self.table)) - 1
            self.selected[self.table] = max(0, min(self.at(snapshot, self.table) + by, last))

    def _wanted(self, snapshot: Snapshot) -> Wanted | None:
        """Return the jobs that belong to the selected row."""
        at = self.at(snapshot, self.table)
        if at >= len(self.rows(snapshot, self.table)):
            return None
        match self.table:
            case Table.QUEUES:
                type = snapshot.queues[at].type
                return Wanted(f"{type}: jobs that wait, run or are dead", type, None)
            case Table.WORKERS:
                worker = snapshot.workers[at].name
                return Wanted(f"jobs of the last day on {worker}", "", f'worker:"{worker}" since:1d')
        assert snapshot.past is not None
        group = snapshot.past.groups[at]
        q = f'type:{group.type} fingerprint:"{group.fingerprint}" state:dead since:1d'
        return Wanted(f"dead jobs of {group.type}", group.type, q)


_MOVES = {"j": 1, "k": -1, "down": 1, "up": -1, "page down": 10, "page up": -10, "home": -1_000_000, "end": 1_000_000}
