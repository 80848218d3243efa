"""Hands events to the clients that follow them: one reader for all, which reads the queues that they ask for.

Each event is delivered at least once to every client that keeps up. A client that does not is told of the gap.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import NoReturn

import anyio

from millstream_contracts import Event, Queue, ms_of
from millstream_ingest.events.frames import job_frame
from millstream_ingest.events.listener import Choice, Listener
from millstream_ingest.events.positions import Positions
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import OVERLOADED
from millstream_runtime import FailureLog
from millstream_streams import LIVE_KEPT_S, Broker, LiveFeed, StoreError, backoff_s
from millstream_telemetry import IngestMetrics

QUEUES_EVERY_S = 1.0
READ_EVERY_S = 0.02
"""The least time between two reads: each names all queues again, and a busy system would read without a pause."""

BLIND_S = LIVE_KEPT_S / 2
"""After this time without a read, events may have been trimmed before they were read."""


class EventHub:
    """Holds the listeners of this process."""

    def __init__(self, broker: Broker, feed: LiveFeed, metrics: IngestMetrics, *, max_listeners: int) -> None:
        self._broker = broker
        self.feed = feed
        self._metrics = metrics
        self._max_listeners = max_listeners
        self._listeners: defaultdict[tuple[str, ...], set[Listener]] = defaultdict(set)
        self._positions = Positions()
        self._queues_at = self._read_at = float("-inf")
        self._changed = anyio.Event()
        self._is_closing = False
        self._failures = FailureLog("live events")
        self.count = 0
        """Clients that follow events now."""

    async def open(self, choice: Choice) -> Listener:
        """Return a listener, which gets every event from now on; `drop` it in the end.

        Raises: IngestError (503), when there are too many; StoreUnavailableError.
        """
        if self._is_closing or self.count >= self._max_listeners:
            raise IngestError(OVERLOADED, f"{self.count} clients follow events over this process already")
        self._show(+1)
        try:
            # One ms earlier, because the clock is read in whole ones.
            since_ms = ms_of(await self._broker.now()) - 1
        except BaseException:
            self._show(-1)
            raise
        listener = Listener(choice, since_ms)
        self._listeners[choice.topic].add(listener)
        self._positions.want(choice.scope, since_ms)
        self._queues_at = float("-inf")
        self._changed.set()
        return listener

    def drop(self, listener: Listener) -> None:
        """Forget a listener. Idempotent."""
        choice = listener.choice
        found = self._listeners.get(choice.topic, set())
        if listener not in found:
            return
        found.remove(listener)
        if not found:
            del self._listeners[choice.topic]
        self._positions.unwant(choice.scope)
        self._show(-1)

    def seen_ms(self) -> int:
        """Return until when all events were handed out, by the clock of Redis."""
        return self._broker.clock.now_ms() - round((time.monotonic() - self._read_at) * 1000)

    def close(self) -> None:
        """End every listener, now and from now on, because the service is leaving."""
        self._is_closing = True
        for listener in self._all():
            listener.close()

    async def run(self) -> NoReturn:
        """Read until cancelled, while there are listeners."""
        try:
            while True:
                if not self._positions.scopes:
                    self._changed = anyio.Event()
                    await self._changed.wait()
                    self._read_at = time.monotonic()
                await self._try_to_read()
        finally:
            with anyio.CancelScope(shield=True):
                await self.feed.aclose()

    async def _try_to_read(self) -> None:
        try:
            await self._read()
        except StoreError as error:
            self._failures.failed(error)
            await anyio.sleep(backoff_s(self._failures.failures))
        else:
            self._failures.succeeded()
            await anyio.sleep(READ_EVERY_S)

    async def _read(self) -> None:
        now = time.monotonic()
        if now >= self._queues_at + QUEUES_EVERY_S:
            self._queues_at = now
            self._positions.arrange(await self._broker.registry.queues())
        if not self._positions.by_queue:
            self._read_at = now
            return
        asked_at = time.monotonic()
        found = await self.feed.read(self._positions.by_queue)
        if asked_at - self._read_at > BLIND_S:
            for listener in self._all():
                listener.push_gap()
        self._read_at = asked_at
        for queue, (position, events) in found.items():
            self._positions.move(queue, position)
            for event in events:
                self._hand_out(queue, event)

    def _hand_out(self, queue: Queue, event: Event) -> None:
        of_type = [*self._listeners.get((queue.tenant,), ()), *self._listeners.get((queue.tenant, queue.type), ())]
        for job in event.jobs:
            of_job = self._listeners.get((queue.tenant, "", job.id), ())
            if of_type or of_job:
                frame = job_frame(queue, event, job)
                self._push(frame, of_type)
                self._push(frame, of_job)

    def _push(self, frame: bytes, listeners: Iterable[Listener]) -> None:
        for listener in listeners:
            if not listener.push(frame):
                self._metrics.count_live_gap()

    def _all(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    def _show(self, change: int) -> None:
        self.count += change
        self._metrics.show_live_listeners(self.count)
