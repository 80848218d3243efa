"""Reads what open pages show, once for all who look at the same, and sends it to them.

Five hundred open consoles cost ingest what one does for each different page that is looked at. A page is read every two
seconds, at once when an event tells that it has moved, and less often the longer its reading takes.
"""

import time
from collections.abc import AsyncIterator

import anyio
import structlog
from anyio.abc import TaskGroup

from millstream import AccessError, ApiError
from millstream_console.drawing.environment import Renderer
from millstream_console.live.frames import AWAY, PULSE, SIGNED_OUT
from millstream_console.live.topic import Topic
from millstream_console.live.view import STILL, Arguments, FollowPage, Reader, View

ENOUGH_FRAMES = 16
"""A listener that is this far behind is let go; its browser connects again and gets everything."""

MOST_FOLLOWED = 200
"""Pages whose events are heard, each by a stream of its own from ingest."""

AGAIN_S = 5.0
"""The pause before events are asked for again."""

UNAUTHENTICATED = 401

_HOPELESS = frozenset({400, UNAUTHENTICATED, 403, 404, 410, 422})
"""Answers by which there will be no events of a page."""

Key = tuple[str, str, tuple[tuple[str, object], ...]]


class Hub:
    """Sends the live blocks of pages to those who look at them."""

    def __init__(self, renderer: Renderer, tasks: TaskGroup, *, every_s: float) -> None:
        self._renderer = renderer
        self._tasks = tasks
        self._every_s = every_s
        self._topics: dict[Key, Topic] = {}
        self._followed = 0
        self._is_closed = False

    @property
    def viewers(self) -> int:
        """Return how many pages are kept fresh."""
        return sum(len(topic.listeners) for topic in list(self._topics.values()))

    @property
    def views(self) -> int:
        """Return how many different pages they are."""
        return len(self._topics)

    async def follow(self, view: View, arguments: Arguments, reader: Reader) -> AsyncIterator[bytes]:
        """Yield the frames of a page: all live blocks at first, then those that have changed, until it is closed.

        A page is read once for all with the same reader.
        """
        key = (reader.key, view.template, tuple(sorted(arguments.items())))
        send, receive = anyio.create_memory_object_stream[bytes](ENOUGH_FRAMES)
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = Topic(view, arguments, reader)
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

    async def _keep(self, key: Key, topic: Topic) -> None:
        """Read a page while it is looked at."""
        try:
            async with anyio.create_task_group() as followers:
                follow = topic.reader.follow
                if topic.view.follow and follow and self._followed < MOST_FOLLOWED:
                    followers.start_soon(self._follow_events, topic, follow)
                while topic.listeners:
                    part = await self._read(topic)
                    topic.send(part)
                    if part == SIGNED_OUT:
                        break
                    await self._pause(topic)
                # Before the next await: who comes now begins anew.
                self._forget(key, topic)
                followers.cancel_scope.cancel()
        finally:
            self._forget(key, topic)

    def _forget(self, key: Key, topic: Topic) -> None:
        if self._topics.get(key) is topic:
            del self._topics[key]
        topic.end()

    async def _pause(self, topic: Topic) -> None:
        """Wait until a page is to be read again, and say meanwhile that the stream is there."""
        until = time.monotonic() + topic.pause_s(self._every_s)
        while topic.listeners and (left_s := until - time.monotonic()) > 0:
            if await topic.wait(min(left_s, self._every_s)):
                return
            if left_s > self._every_s:
                topic.send(AWAY if topic.is_away else PULSE)

    async def _follow_events(self, topic: Topic, follow: FollowPage) -> None:
        """Have a page read at once when something has happened to what it shows."""
        self._followed += 1
        try:
            while await self._hears(topic, follow):  # noqa: ASYNC110  # what is waited for is a time
                await anyio.sleep(AGAIN_S)
        finally:
            self._followed -= 1

    async def _hears(self, topic: Topic, follow: FollowPage) -> bool:
        """Hear events until that fails: the page is read by the clock then. Returns: whether to try again."""
        topic.hears_events = True
        try:
            await follow(topic.view, topic.arguments, topic.note_event)
        except ApiError as error:
            return error.problem.status not in _HOPELESS
        except Exception:  # noqa: BLE001 - a page whose events are not heard must not end the others
            structlog.get_logger().exception("events of a page cannot be heard", template=topic.view.template)
            return False
        finally:
            topic.hears_events = False
        return True

    async def _read(self, topic: Topic) -> bytes:
        """Return the frames of what has changed of a page, and note how long its reading took."""
        begun = time.monotonic()
        part = await self._read_blocks(topic)
        topic.note_reading(time.monotonic() - begun, is_away=part == AWAY)
        return part

    async def _read_blocks(self, topic: Topic) -> bytes:
        try:
            content = await topic.reader.read(topic.view.while_open, topic.arguments)
            topic.is_still = bool(content.get(STILL))
            return topic.fragments.changed(self._renderer.blocks(topic.view.template, content))
        except AccessError as error:
            return SIGNED_OUT if error.problem.status == UNAUTHENTICATED else AWAY
        except ApiError:
            return AWAY
        except Exception:  # noqa: BLE001 - a page that cannot be made must not end the others
            structlog.get_logger().exception("page cannot be kept fresh", template=topic.view.template)
            return AWAY
