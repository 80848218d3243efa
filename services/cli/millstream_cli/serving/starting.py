"""Starts the commands of all services alike: prepares the process, reads settings, turns errors into lines."""

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from millstream_cli.output import one_line_errors
from millstream_cli.settings import load
from millstream_runtime import ProcessSettings, ServiceSettings, prepare_process
from millstream_streams import StoreError
from millstream_telemetry import TelemetryError

P = ParamSpec("P")
S = TypeVar("S", bound=ProcessSettings)


def service_command(*errors: type[Exception]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Prepare the process before the command runs, and turn its errors into one line each.

    `errors` are those of this service; those that all services have are added.
    """

    def decorate(run: Callable[P, None]) -> Callable[P, None]:
        @wraps(run)
        def command(*args: P.args, **kwargs: P.kwargs) -> None:
            prepare_process()
            run(*args, **kwargs)

        return one_line_errors(StoreError, TelemetryError, OSError, *errors)(command)

    return decorate


def load_settings(kind: type[S], **options: object) -> S:
    """Return the settings of a service; an address of Redis in them is valid. Raises: SettingsError, RedisUrlError."""
    settings = load(kind, os.environ, **options)
    if isinstance(settings, ServiceSettings):
        # Checked before anything starts: so a mistake is one line, and not one from each process of a pool.
        _ = settings.redis
    return settings
