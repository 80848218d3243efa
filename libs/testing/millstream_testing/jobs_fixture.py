"""What the fixture `jobs` does: finds the app, makes the kit, and opens it around the test."""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import pytest

from millstream import App
from millstream.app import FROM_LIFESPAN
from millstream_testing.errors import LeftoverError, TestingError
from millstream_testing.kit import Testing
from millstream_testing.sync_kit import SyncTesting
from millstream_workers.app_loader import load_app

STATE = "jobs_state"
"""The fixture of a user from which the state of the handlers comes, if there is one."""

_OPTIONS = frozenset({"app", "state", "allow_dead"})


class JobsFixture:
    """The kit of one test. That of a test without an event loop is open as soon as its fixtures are set up."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        """Make the kit. Raises: TestingError, AppLoadError."""
        options = _options(request)
        app = _app(request, options)
        state = options["state"] if "state" in options else _state(request)
        is_async = inspect.iscoroutinefunction(request.function)
        kind: Any = Testing if is_async else SyncTesting
        self.kit: Testing[Any] | SyncTesting[Any] = kind(app, state=state, allow_dead=options.get("allow_dead", False))

    def __enter__(self) -> Self:
        if isinstance(self.kit, SyncTesting):
            self.kit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.kit, SyncTesting):
            self.kit.close()

    def around(self, test: Callable[..., Any]) -> Callable[..., Any]:
        """Return the test function, inside of the kit: what it leaves behind makes it fail."""
        kit = self.kit
        if isinstance(kit, Testing):

            @functools.wraps(test)
            async def opened(*args: Any, **options: Any) -> None:
                __tracebackhide__ = True
                async with kit:
                    await test(*args, **options)

            return opened

        @functools.wraps(test)
        def looked_after(*args: Any, **options: Any) -> None:
            __tracebackhide__ = True
            test(*args, **options)
            if left := kit.leftovers():
                raise LeftoverError(left)

        return looked_after


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of the markers, those nearest to the test before others. Raises: TestingError."""
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("millstream"))):
        options |= marker.kwargs
        if marker.args or marker.kwargs.keys() - _OPTIONS:
            raise TestingError(f"the marker `millstream` takes {', '.join(sorted(_OPTIONS))}, each by its name")
    return options


def _app(request: pytest.FixtureRequest, options: dict[str, Any]) -> App[Any]:
    app = options.get("app") or request.config.getini("millstream_app")
    if not app:
        raise TestingError("the fixture `jobs` needs an app: millstream_app = shop.jobs:app in the settings of pytest")
    return app if isinstance(app, App) else load_app(app)


def _state(request: pytest.FixtureRequest) -> Any:
    try:
        return request.getfixturevalue(STATE)
    except pytest.FixtureLookupError:
        return FROM_LIFESPAN
