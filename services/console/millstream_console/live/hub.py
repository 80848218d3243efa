"""Reads what open pages show, once for all who look at the same, and sends it to them.

Five hundred open consoles cost ingest what one does for each different page that is looked at.
"""

from collections.abc import AsyncIterator

import anyio
import structlog
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from millstream import ApiError
from millstream_console.drawing.environment import Renderer
from millstream_console.live.frames import AWAY, Fragments
from millstream_console.live.view import Arguments, Read, View

ENOUGH_FRAMES = 16
"""A listener that is this far behind is let go; its browser connects again and gets everything."""

Key = tuple[str, tuple[tuple[str, object], ...]]


class Hub:
    """Sends the live blocks of pages to those who look at them."""

    def __init__(self, read: Read, renderer: Renderer, tasks: TaskGroup, *, every_s: float) -> None:
        self._read_page = read
        self._renderer = renderer
        self._tasks = tasks
        self._every_s = every_s
        self._topics: dict[Key, _Topic] = {}
        self._is_closed = False

    @property
    def viewers(self) -> int:
        """Return how many pages are kept fresh."""
        return sum(len(topic.listeners) for topic in list(self._topics.values()))

    @property
    def views(self) -> int:
        """Return how many different pages they are."""
        return len(self._topics)

    async def follow(self, view: View, arguments: Arguments) -> AsyncIterator[bytes]:
        """Yield the frames of a page: all live blocks at first, then those that have changed, until it is closed."""
        key = (view.template, tuple(sorted(arguments.items())))
        send, receive = anyio.create_memory_object_stream[bytes](ENOUGH_FRAMES)
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = _Topic(view, arguments)
            topic.listeners.add(send)
            self._tasks.start_soon(self._keep, key, topic)
        else:
            topic.listeners.add(send)
            send.send_nowait(topic.everything())
        try:
            with receive:
                if self._is_closed:
                    return
                async for part in receive:
                    yield part
        finally:
            topic.listeners.discard(send)
            send.close()

    def close(self) -> None:
        """End all streams: the service stops."""
        self._is_closed = True
        for topic in self._topics.values():
            topic.end()

    async def _keep(self, key: Key, topic: "_Topic") -> None:
        """Read a page while it is looked at."""
        try:
            while topic.listeners:
                topic.send(await self._read(topic))
                await anyio.sleep(self._every_s)
        finally:
            if self._topics.get(key) is topic:
                del self._topics[key]
            topic.end()

    async def _read(self, topic: "_Topic") -> bytes:
        try:
            content = await self._read_page(topic.view.while_open, topic.arguments)
            return topic.fragments.changed(self._renderer.blocks(topic.view.template, content))
        except ApiError:
            return AWAY
        except Exception:  # noqa: BLE001 - a page that cannot be made must not end the others
            structlog.get_logger().exception("page cannot be kept fresh", template=topic.view.template)
            return AWAY


class _Topic:
    """A page with its arguments, and those who look at it."""

    def __init__(self, view: View, arguments: Arguments) -> None:
        self.view = view
        self.arguments = arguments
        self.fragments = Fragments()
        self.listeners: set[MemoryObjectSendStream[bytes]] = set()

    def everything(self) -> bytes:
        return self.fragments.all()

    def send(self, part: bytes) -> None:
        for listener in list(self.listeners):
            try:
                listener.send_nowait(part)
            except (anyio.WouldBlock, anyio.BrokenResourceError):
                self.listeners.discard(listener)
                listener.close()

    def end(self) -> None:
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
