"""A payload as commands take it: JSON, as an argument or in a file."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec


def payload_of(text: str | None, file: Path | None) -> Any:
    """Return a payload; None when neither is given. Raises: click.UsageError, OSError."""
    if text is not None and file is not None:
        raise click.UsageError("give the payload as an argument or with --file, not both")
    if file is not None:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="PAYLOAD") from error
