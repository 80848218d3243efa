"""Prints the timeline of a job for people: its transitions, and its attempts with their errors or log lines."""

from datetime import datetime

import click
from rich.console import Console
from rich.text import Text

from millstream_cli.output import print_table
from millstream_cli.wording import lasting, printable
from millstream_contracts import LogLine, Timeline, TimelineAttempt

_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}


def print_timeline(timeline: Timeline) -> None:
    """Print a timeline. Each attempt that failed is followed by its traceback."""
    rows = [
        (item.version, _clock(item.at), item.kind, item.state.value, item.worker or "", item.detail or "")
        for item in timeline.items
    ]
    print_table("transitions", ("", "at", "what", "state", "worker", "detail"), rows, "no transitions are known")
    console = Console(highlight=False)
    for attempt in timeline.attempts:
        console.print(Text(f"\n{_headline(attempt)}", "bold"), soft_wrap=True)
        for line in _error(attempt).splitlines():
            console.print(Text(f"  {printable(line)}"), soft_wrap=True)
    if not timeline.complete:
        click.echo("\nsome transitions are missing: the history is behind, or their events were lost")


def print_logs(timeline: Timeline) -> None:
    """Print the last log lines of each attempt, below what became of it."""
    console = Console(highlight=False)
    if not timeline.attempts:
        click.echo("no attempts are known")
    for place, attempt in enumerate(timeline.attempts):
        headline = _headline(attempt)
        console.print(Text(f"\n{headline}" if place else headline, "bold"), soft_wrap=True)
        if attempt.logs_left_out:
            console.print(Text(f"  {attempt.logs_left_out:,} earlier lines were not kept", "dim"), soft_wrap=True)
        if not attempt.logs:
            console.print(Text("  no log lines are kept", "dim"))
        for line in attempt.logs or ():
            _print_line(console, line)


def _print_line(console: Console, line: LogLine) -> None:
    """Print a line with its fields; a value of several lines, such as a traceback, below it."""
    short = {name: value for name, value in line.fields.items() if "\n" not in value}
    said = " ".join((line.message, *(f"{name}={value}" for name, value in short.items())))
    text = Text(f"  {_clock(line.at)} ").append(f"{printable(line.level):<8} ", _STYLES.get(line.level, ""))
    console.print(text.append(printable(said)), soft_wrap=True)
    for name, value in line.fields.items():
        if name not in short:
            for one in value.splitlines():
                console.print(Text(f"      {printable(one)}"), soft_wrap=True)


def _headline(attempt: TimelineAttempt) -> str:
    waited = f", after a wait of {lasting(attempt.waited_ms / 1000)}" if attempt.waited_ms is not None else ""
    ran = f" after {lasting(attempt.ran_ms / 1000)}" if attempt.ran_ms is not None else ""
    worker = f" on {printable(attempt.worker)}" if attempt.worker else ""
    return f"delivery {attempt.n}: {printable(attempt.outcome)}{ran}{worker}{waited}"


def _error(attempt: TimelineAttempt) -> str:
    error = attempt.error
    if error is None:
        return ""
    head = f"{error.type}: {error.message}".removesuffix(": ")
    # The traceback ends with the message, as Python prints it.
    text = error.traceback or head
    return text if head in text else f"{head}\n{text}"


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
