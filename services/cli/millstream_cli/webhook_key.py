"""Keeps the key of webhooks of a system that `up` runs, so that the secrets of its endpoints stay the same."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from millstream_runtime import variables_of

FIELD = "webhook_key"
FILE_NAME = "webhook.key"


def with_webhook_key(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return an environment in which the key is set: by the user, or by a file in this folder. Raises: OSError."""
    variable, file_variable = variables_of(FIELD)
    if environ.get(variable) or environ.get(file_variable):
        return dict(environ)
    path = folder / FILE_NAME
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _write(path, secrets.token_hex(32))
    return {**environ, file_variable: str(path.absolute())}


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all; one that is there stays. Raises: OSError."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name) as written:  # readable by its owner alone
        written.write(text)
        written.flush()
        with suppress(FileExistsError):
            os.link(written.name, path)
