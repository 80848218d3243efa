"""Binds the apps of a test to its client, so that `.submit()` of their handlers reaches the kit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from millstream import App, Client


@contextmanager
def bound_apps(app: App[Any], client: Client) -> Iterator[None]:
    """Bind an app and all that it includes to a client, and to what they were bound to afterwards."""
    before = [(one, one.submitter) for one in _with_included(app)]
    for one, _ in before:
        one.submitter = client
    try:
        yield
    finally:
        for one, submitter in before:
            one.submitter = submitter


def _with_included(app: App[Any]) -> list[App[Any]]:
    found, waiting = [], [app]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.append(one)
            waiting += one.included
    return found
