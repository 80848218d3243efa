"""Prints for people what a durable handler has behind it."""

import click

from millstream_cli.output import print_table
from millstream_cli.wording import printable, stamp
from millstream_contracts import JobStep, JobSteps


def print_steps(found: JobSteps) -> None:
    """Print the steps of a job, the oldest first."""
    empty = "no steps: its handler is not durable, has not begun, or the job has ended"
    print_table("steps", ("step", "kind", "stored at", "bytes"), [_row(step) for step in found.steps], empty)
    if found.waiting_for:
        click.echo(f"waits for the signal {printable(found.waiting_for)}")
    for name in found.kept_signals:
        click.echo(f"has not taken the signal {printable(name)} yet")


def _row(step: JobStep) -> list[object]:
    version = f" (version {printable(step.version)})" if step.version else ""
    until = f" until {stamp(step.until)}" if step.until else ""
    return [printable(step.name) + version, step.kind + until, stamp(step.saved_at), step.size_bytes]
