"""Callbacks of jobs: where their events go, until nothing happens to them any more.

`enqueue` notes the callback of a job in the same step that stores the job.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from millstream_contracts import UNDECODABLE, Callback, JobId, Queue
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import unless_wrong_type
from millstream_streams.store.keys import Keys

T = TypeVar("T")

_decode = msgspec.json.Decoder(Callback).decode


class Callbacks:
    """Reads and ends callbacks. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def of(self, queue: Queue, ids: Sequence[JobId]) -> dict[JobId, Callback]:
        """Return the callbacks of those of these jobs that have one."""
        if not ids:
            return {}
        key = self._keys.of(queue).callbacks
        found = await self._call(lambda: unless_wrong_type(self._client.hmget(key, list(ids)), [None] * len(ids)))
        read = {job_id: _read(text) for job_id, text in zip(ids, found, strict=True) if text is not None}
        return {job_id: callback for job_id, callback in read.items() if callback is not None}

    async def end(self, queue: Queue, ids: Sequence[JobId]) -> None:
        """Forget the callbacks of jobs to which nothing happens any more."""
        if ids:
            key = self._keys.of(queue).callbacks
            await self._call(lambda: self._client.hdel(key, *ids))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(lambda _: call(), self._patience_s, lambda: None)


def _read(text: bytes) -> Callback | None:
    """Return a callback; None for one that this release cannot read."""
    try:
        return _decode(text)
    except UNDECODABLE:
        return None
