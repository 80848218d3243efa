"""Finds the apps that users name as `module:attribute`."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from millstream import App, MillstreamError
from millstream.own_frames import with_own_frames
from millstream_contracts import one_line
from millstream_telemetry import type_name
from millstream_workers.errors import AppLoadError

_MAX_CHARS = 500


def load_app(ref: str) -> App[Any]:
    """Import an app. Raises: AppLoadError."""
    module_name, _, attribute = ref.partition(":")
    if not attribute or not all(part.isidentifier() for part in module_name.split(".")):
        raise AppLoadError(f"`{ref}` names no app: write module:attribute, as in shop.jobs:app")
    _make_importable(Path.cwd())
    try:
        module = importlib.import_module(module_name)
    except MillstreamError as error:
        raise AppLoadError(with_own_frames(f"{module_name}: {error}", error)) from error
    except Exception as error:
        # A user's module may fail in any way while it is imported.
        said = f"cannot import `{module_name}` for `{ref}`: {type_name(error)}: {one_line(error, _MAX_CHARS)}"
        raise AppLoadError(with_own_frames(said, error)) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, App):
        raise AppLoadError(f"`{ref}` is no millstream.App" + ("" if found is not None else ": no such attribute"))
    return found


def merge_apps(apps: Iterable[App[Any]]) -> App[Any]:
    """Return one app with the handlers of all, each keeping its own lifespan. Raises: HandlerError."""
    listed = list(apps)
    merged: App[Any] = App(" + ".join(app.name for app in listed))
    merged.include(*listed)
    _ = merged.schedules  # a name that two of them declare is refused
    return merged


def _make_importable(folder: Path) -> None:
    # At the end, never first: a user's `workers/` or `contracts/` must not hide a package that we import.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
