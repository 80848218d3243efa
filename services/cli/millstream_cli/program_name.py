"""Names this program as its user has called it, for the commands that it prints to be typed."""

import shlex
import shutil
import sys
from pathlib import Path

import click


def command_line(*words: str) -> str:
    """Return a command of this program as it can be typed into a shell."""
    return f"{_program()} {shlex.join(words)}" if words else _program()


def _program() -> str:
    """Return the name alone where the shell finds it, else the path by which it was called.

    `make up` calls `.venv/bin/millstream`, which is on the PATH of few shells.
    """
    context = click.get_current_context(silent=True)
    name = (context.find_root().info_name if context else None) or "millstream"
    called = Path(sys.argv[0])
    if called.name != name:  # `python -m ...`, or a test
        return name
    found = shutil.which(name)
    is_found = found is not None and called.exists() and called.samefile(found)
    return name if is_found else shlex.quote(sys.argv[0])
