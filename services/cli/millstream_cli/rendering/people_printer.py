"""Renders the log of several processes for people: time, process, and what happened, in one line each.

The processes log JSON all the same, which their supervisor reads (ADR 32). Jobs that succeed one after the other
become a count, so that what fails is not lost among them.
"""

import time
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.text import Text

from millstream_cli.rendering.log_line import LogLine, read_log_line, say_attempt, say_fields
from millstream_cli.wording import printable

SHOWN_SUCCESSES_A_SECOND = 10
"""Jobs that are shown one by one; the others of the same second are counted."""

_NAME_STYLES = ("cyan", "yellow", "magenta", "green", "blue", "bright_cyan", "bright_yellow", "bright_magenta")
_LEVEL_STYLES = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}


class PeoplePrinter:
    """A sink for the supervisor: `printer(name, line)`. Lines about events of `hidden` are left out."""

    def __init__(
        self,
        stream: TextIO,
        names: Sequence[str],
        *,
        hidden: Container[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = Console(file=stream, highlight=False)
        self._width = max(map(len, names), default=0)
        self._styles = {name: _NAME_STYLES[i % len(_NAME_STYLES)] for i, name in enumerate(names)}
        self._hidden = hidden
        self._clock = clock
        self._second = 0
        self._successes = 0
        """Jobs that have succeeded in this second."""

    def __call__(self, name: str, line: str) -> None:
        """Print one line, or count it. Raises: OSError, when the terminal was closed."""
        said = read_log_line(line)
        if said is None:
            self._print(name, datetime.now(UTC), Text(line.expandtabs(4)))
        elif said.is_success:
            self._count(name, said)
        elif said.event not in self._hidden:
            self._print(name, said.timestamp, _text(said))
            for traceback_line in said.exception.splitlines():
                self._print(name, said.timestamp, Text(printable(traceback_line), "red"))

    def tick(self) -> None:
        """Print the count of a second that is over. To be called about once a second."""
        second = int(self._clock())
        if second == self._second:
            return
        hidden = self._successes - SHOWN_SUCCESSES_A_SECOND
        self._second, self._successes = second, 0
        if hidden > 0:
            self._print("", datetime.now(UTC), Text(f"... and {hidden:,} more jobs succeeded", "dim"))

    def _count(self, name: str, said: LogLine) -> None:
        self.tick()
        self._successes += 1
        if self._successes <= SHOWN_SUCCESSES_A_SECOND:
            self._print(name, said.timestamp, _text(said))

    def _print(self, name: str, moment: datetime, text: Text) -> None:
        head = ((f"{moment.astimezone():%H:%M:%S} ", "dim"), (f"{name:<{self._width}}  ", self._styles.get(name, "")))
        # A long line runs over: the terminal folds it, and an id in it can be copied.
        self._console.print(Text.assemble(*head, text), soft_wrap=True)


def _text(said: LogLine) -> Text:
    """Return a line without the control characters of users, coloured by what it means."""
    style = _LEVEL_STYLES.get(said.level, "")
    if said.is_attempt:
        job_id = printable(str(said.fields["job_id"]))
        return Text.assemble(job_id, " ", (printable(say_attempt(said.fields)), style or "green"))
    details = printable(say_fields(said.fields))
    return Text.assemble((printable(said.event), style), (f"  {details}" if details else "", "dim"))
