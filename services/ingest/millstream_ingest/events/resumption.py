"""Repeats to a client that comes back what happened since the last event that it has seen."""

from millstream_contracts import Event, Queue
from millstream_ingest.events.frames import GAP_FRAME, job_frame
from millstream_ingest.events.listener import Choice
from millstream_ingest.events.positions import is_in
from millstream_streams import LIVE_KEPT_S, Broker, LiveFeed, for_each_queue

OVERLAP_MS = 1_000
"""How far before the last event that the client has seen the repetition begins. Queues are written side by side, on a
cluster by several servers with clocks of their own, so an event may become readable after one with a later time.
"""

MOST_ENTRIES = 1_000
"""Most entries of one queue that are repeated; a client that has missed more is told of a gap."""


async def frames_since(broker: Broker, feed: LiveFeed, choice: Choice, seen_ms: int) -> list[bytes]:
    """Return the frames of the chosen events since a moment, in the order of their times.

    Where some are missing it is GAP_FRAME alone. Raises: StoreError.
    """
    start_ms = seen_ms - OVERLAP_MS
    now_s = (await broker.now()).timestamp()
    if start_ms < (now_s - LIVE_KEPT_S) * 1000:
        return [GAP_FRAME]
    found: list[tuple[int, bytes]] = []
    is_complete = True

    async def read(queue: Queue) -> None:
        nonlocal is_complete
        resumption = await feed.since(queue, start_ms, most=MOST_ENTRIES)
        is_complete = is_complete and resumption.is_complete
        for event in resumption.events.events:
            found.extend((event.at_ms, frame) for frame in _frames(queue, event, choice))

    queues = [queue for queue in await broker.registry.queues() if is_in(queue, choice.scope)]
    await for_each_queue(queues, read)
    return [frame for _, frame in sorted(found, key=lambda one: one[0])] if is_complete else [GAP_FRAME]


def _frames(queue: Queue, event: Event, choice: Choice) -> list[bytes]:
    return [job_frame(queue, event, job) for job in event.jobs if choice.job in {None, job.id}]
