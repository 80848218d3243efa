"""The options of `up` and `worker` that ask for reloading."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PYTHON_FILES = "*.py"


def reload_options(command: F) -> F:
    """Give a command the options `reload` and `reload_include`."""
    command = click.option(
        "--reload-include",
        metavar="PATTERN",
        multiple=True,
        help=f"Names of files that count as source besides '{PYTHON_FILES}', such as '*.html'; may be given again.",
    )(command)
    return click.option(
        "--reload",
        is_flag=True,
        callback=_refuse_if_missing,
        help="Restart the workers when the source of APPS changes and `check` accepts it.",
    )(command)


def can_reload() -> bool:
    """Return whether the library that watches files is installed."""
    return find_spec("watchfiles") is not None


def _refuse_if_missing(_context: click.Context, _option: click.Parameter, is_wanted: bool) -> bool:
    if is_wanted and not can_reload():
        raise click.ClickException(
            "`--reload` needs the package watchfiles, which is not installed: pip install 'millstream[reload]'"
        )
    return is_wanted
