"""Reads what workers have answered to requests for the stacks of their handlers."""

import msgspec

from millstream_contracts import UNDECODABLE, JobStack, Queue
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import unless_wrong_type
from millstream_streams.store.keys import Keys

_decode = msgspec.msgpack.Decoder(JobStack).decode


class StackAnswers:
    """Reads answers. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def answer(self, queue: Queue, number: str) -> JobStack | None:
        """Return the answer to the request of this number; None when there is none that can be read."""
        key = self._keys.of(queue).stack_prefix + number

        async def read(_: int) -> bytes | None:
            return await unless_wrong_type(self._client.get(key), None)

        found: bytes | None = await with_retries(read, self._patience_s, lambda: None)
        try:
            return None if found is None else _decode(found)
        except UNDECODABLE:
            return None
