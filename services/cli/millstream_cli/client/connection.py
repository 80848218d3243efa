"""How commands reach the HTTP API, and what they say when they do not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import click
import httpx2

from millstream import ApiError, MillstreamError, SyncClient, UnavailableError, WaitTimeoutError
from millstream.client.transport import checked_url, http_settings
from millstream_cli.errors import CliError
from millstream_cli.exit_codes import ExitCode, exit_code_of
from millstream_cli.output import one_line_errors
from millstream_cli.program_name import command_line
from millstream_cli.settings import ClientSettings, load
from millstream_contracts import one_line
from millstream_runtime import mask_url, revealed

RETRY_FOR_S = 3.0
"""Short, because a person at a terminal wants to know soon that the API does not answer."""

url_option = click.option("--url", help="Address of the HTTP API; else MILLSTREAM_URL, else http://127.0.0.1:8080.")


class UnreachableError(CliError):
    """Nothing takes connections at the address of the API."""

    exit_code: ClassVar[int] = ExitCode.UNREACHABLE

    def __init__(self, address: str, cause: str) -> None:
        self.address = address
        super().__init__(
            f"cannot reach {address}: {cause}. Is it running (`{command_line('up')}`)? "
            "Give another address with --url or MILLSTREAM_URL"
        )


def client_exit_code(error: Exception) -> int:
    """Return the status that an error of a command of the API ends it with."""
    match error:
        case WaitTimeoutError():
            return ExitCode.UNFINISHED
        case UnavailableError():
            return ExitCode.UNREACHABLE
        case ApiError():
            return ExitCode.REFUSED
        case TypeError() | ValueError() | OSError():
            # What the client refuses to send, and files that cannot be read.
            return ExitCode.USAGE
    return exit_code_of(error)


client_errors = one_line_errors(MillstreamError, TypeError, ValueError, OSError, code_of=client_exit_code)
"""The decorator of the commands of the API."""


def address_of(url: str | None) -> str:
    """Return the address of the option or the environment. Raises: ValueError."""
    return checked_url(_settings(url).url)


@contextmanager
def connect(url: str | None, *, retry_for_s: float = RETRY_FOR_S) -> Iterator[SyncClient]:
    """Yield a client for the address of the option or the environment.

    Its first request raises UnreachableError at once where no connection is made: most often the address is wrong or
    nothing runs there, and no repetition helps. Later ones are repeated for `retry_for_s`.
    """
    settings = _settings(url)
    address, key = checked_url(settings.url), revealed(settings.api_key)
    token = _read_token if settings.token else None
    masks = not settings.show_secrets
    with (
        FirstContact(address) as http,
        SyncClient(address, api_key=key, token=token, retry_for_s=retry_for_s, mask_secrets=masks, http=http) as client,
    ):
        yield client


def _settings(url: str | None) -> ClientSettings:
    return load(ClientSettings, os.environ, url=url)


def _read_token() -> str:
    """Return the token of the environment. Its file is read each time: another program replaces it before it ends."""
    return revealed(_settings(None).token) or ""


class FirstContact(httpx2.Client):
    """An HTTP client that takes a first request without a connection for a mistake."""

    def __init__(self, address: str) -> None:
        super().__init__(**http_settings(address))
        self._address = address
        self._has_connected = False

    def send(self, *args: Any, **options: Any) -> httpx2.Response:
        """Send one request. Raises: UnreachableError, httpx2.RequestError."""
        try:
            response = super().send(*args, **options)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            if self._has_connected:
                raise
            raise UnreachableError(mask_url(self._address), _cause(error)) from None
        self._has_connected = True
        return response


def _cause(error: Exception) -> str:
    """Return what the system says, without its number."""
    text = one_line(error).rpartition("] ")[2]
    return text or type(error).__name__
