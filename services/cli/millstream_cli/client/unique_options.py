"""The options that make a job unique: of `submit`, and of what templates and schedules submit."""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from millstream import Unique
from millstream_contracts import OnConflict, UniqueScope

F = TypeVar("F", bound=Callable[..., Any])


def unique_options(command: F) -> F:
    """Add the options."""
    for option in (
        click.option(
            "--on-conflict",
            type=click.Choice(get_args(OnConflict)),
            help="What becomes of it while another job has the key.",
        ),
        click.option(
            "--unique-window", type=float, metavar="SECONDS", help="How long it holds the key, with scope window."
        ),
        click.option(
            "--unique-scope", type=click.Choice(get_args(UniqueScope)), help="How long it holds the key; running."
        ),
        click.option("--unique", metavar="KEY", help="Let there be one job with this key of its type at a time."),
    ):
        command = option(command)
    return command


def read_unique(options: dict[str, Any]) -> Unique | None:
    """Take these options out of all options; None where they are not given. Raises: click.UsageError."""
    key = options.pop("unique")
    names = {"scope": "unique_scope", "window": "unique_window", "on_conflict": "on_conflict"}
    given = {name: value for name, option in names.items() if (value := options.pop(option)) is not None}
    if key is None:
        if given:
            raise click.UsageError("--unique-scope, --unique-window and --on-conflict go with --unique")
        return None
    if "window" in given:
        given.setdefault("scope", "window")
    return Unique(key=key, **given)
