"""The event loop of a handler process, on which lifespans live and `async def` handlers run.

There is one, in the main thread, for the life of the process, because clients are bound to the loop that they were made
on. It runs while the process waits for an order and while a coroutine runs, and stands still while a plain function
runs, which is called outside of any loop, in the main thread, as a script is.
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from millstream import App
from millstream_workers.isolation.process_state import OWN_THREADS

T = TypeVar("T")


class JobLoop:
    """Runs coroutines, one at a time beside what lifespans have started."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=f"{OWN_THREADS}executor"))
        self._context = contextvars.copy_context()
        self._lifespans: dict[App[Any], _Lifespan] = {}
        self._policy = type(asyncio.get_event_loop_policy())

    def run(self, coroutine: Coroutine[Any, Any, T], context: contextvars.Context | None = None) -> T:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(self.task(coroutine, context))

    def task(self, coroutine: Coroutine[Any, Any, T], context: contextvars.Context | None = None) -> "asyncio.Task[T]":
        """Return the task that will run a coroutine."""
        # Not `context or`: a context without variables is false, and the lifespan sets its own in this very object.
        return self.loop.create_task(coroutine, context=self._context.copy() if context is None else context)

    def tasks(self) -> set["asyncio.Task[Any]"]:
        """Return the tasks that have not ended."""
        return asyncio.all_tasks(self.loop)

    def fresh_context(self) -> contextvars.Context:
        """Return a context for one job, with the variables that lifespans have set and those of no other job."""
        return self._context.copy()

    def forget_loops(self) -> None:
        """Reset `asyncio.get_event_loop()` to its state at the start of a script."""
        with suppress(Exception):
            asyncio.set_event_loop_policy(self._policy())

    def is_open(self, app: App[Any]) -> bool:
        """Whether an app's lifespan has been entered."""
        return app in self._lifespans

    def state_of(self, app: App[Any]) -> Any:
        """Return the state of an app's lifespan, which is entered if need be. Raises: what the lifespan raises."""
        if app not in self._lifespans:
            lifespan = _Lifespan(app)
            lifespan.task = self.task(lifespan.live(), self._context)
            self.run(lifespan.wait_open())
            self._lifespans[app] = lifespan
        return self._lifespans[app].state

    @property
    def has_lost_lifespan(self) -> bool:
        """Whether a lifespan has ended before it was closed."""
        return any(lifespan.task.done() for lifespan in self._lifespans.values())

    def close(self) -> None:
        """Close the lifespans, the last one first, and the loop."""
        for lifespan in reversed(self._lifespans.values()):
            self.run(lifespan.close())
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()


class _Lifespan:
    """The lifespan of one app, in a task of its own, because it has to be left in the task that entered it."""

    task: "asyncio.Task[None]"

    def __init__(self, app: App[Any]) -> None:
        self.state: Any = None
        self._app = app
        self._error: BaseException | None = None
        self._is_open = asyncio.Event()
        self._is_closing = asyncio.Event()

    async def live(self) -> None:
        """Keep the lifespan open until it is closed."""
        try:
            async with self._app.running() as self.state:
                self._is_open.set()
                await self._is_closing.wait()
        except BaseException as error:  # noqa: BLE001 - a lifespan may raise anything
            if self._is_open.is_set():
                structlog.get_logger().error("lifespan failed", exc_info=error)
            self._error = error
        finally:
            self._is_open.set()

    async def wait_open(self) -> None:
        """Return once it is open. Raises: what it raised."""
        await self._is_open.wait()
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Leave the lifespan."""
        self._is_closing.set()
        await asyncio.wait([self.task])
