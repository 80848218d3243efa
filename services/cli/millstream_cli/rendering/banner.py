"""What `up` says once it is up: where everything is, and a command to try, which works as it stands there."""

import os
from collections.abc import Iterator

from millstream import App
from millstream_cli.client.payload_sample import sample_words
from millstream_cli.program_name import command_line
from millstream_cli.settings import ClientSettings, load
from millstream_cli.system import RunningSystem

_LABEL_CHARS = 26
_WAIT_S = "5"


def banner(system: RunningSystem, app: App) -> Iterator[str]:
    """Yield the lines."""
    yield f"Millstream is up at {system.url}"
    for label, url in _places(system):
        yield f"  {label:<{_LABEL_CHARS}}  {url}"
    yield "Stop it with Ctrl-C."
    has_workers = any(name.startswith("worker") for name in system.admin_urls)
    yield f"Try: {example(app, system.url, has_workers=has_workers)}"


def example(app: App, url: str, *, has_workers: bool) -> str:
    """Return a command that submits a job of one of the types that run here, from another terminal.

    It waits for the job if there is a worker to run it.
    """
    address = [] if _is_default(url) else ["--url", url]
    wait = ["--wait", _WAIT_S] if has_workers else []
    for handler in app:
        words = sample_words(handler.registration().payload_schema)
        if words is not None:
            return command_line("submit", handler.type, *words, *wait, *address)
    return command_line("types", *address)


def _places(system: RunningSystem) -> Iterator[tuple[str, str]]:
    if system.console_url:
        yield "console", f"{system.console_url}/"
    yield "API and its documentation", f"{system.url}/docs"
    yield "health", f"{system.url}/health"
    for name, url in system.admin_urls.items():
        if name != "console":
            yield f"metrics of {name}", f"{url}/metrics"
    yield "Redis", system.redis_url
    if system.history_url:
        yield "history (PostgreSQL)", system.history_url


def _is_default(url: str) -> bool:
    """Return whether a command finds this address by itself, in this terminal and in one without its variables."""
    return url == ClientSettings().url == load(ClientSettings, os.environ).url
