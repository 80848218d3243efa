"""Prints the timeline of a job for people: its transitions, and its attempts with their errors."""

from datetime import datetime

import click
from rich.console import Console
from rich.text import Text

from millstream_cli.output import print_table
from millstream_cli.wording import lasting, printable
from millstream_contracts import Timeline, TimelineAttempt


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
