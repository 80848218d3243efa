"""The endpoints of all tenants, in memory: at most a second old while the database answers."""

import math
import time
from collections.abc import Awaitable, Callable

from millstream_contracts import Queue
from millstream_history import HistoryError
from millstream_webhooks import Endpoint

FRESH_FOR_S = 1.0

Load = Callable[[], Awaitable[list[Endpoint]]]
"""Reads all endpoints. Raises: HistoryError."""


class EndpointBook:
    """A copy of the endpoints. While the database is away the last copy counts."""

    def __init__(self, load: Load | None) -> None:
        """Take what reads the endpoints; None where there is no database, and so no endpoint."""
        self._load = load
        self._endpoints: list[Endpoint] | None = None if load else []
        self._read_at = -math.inf

    async def look(self) -> list[Endpoint]:
        """Return the endpoints. Raises: HistoryError, before they were read for the first time."""
        if self._load is not None and time.monotonic() >= self._read_at + FRESH_FOR_S:
            try:
                self._endpoints = await self._load()
            except HistoryError:
                if self._endpoints is None:
                    raise
            self._read_at = time.monotonic()
        return self._endpoints or []

    def wanting(self, queue: Queue) -> list[Endpoint]:
        """Return the endpoints that events of a queue may go to."""
        return [endpoint for endpoint in self._endpoints or [] if endpoint.wants_queue(queue)]

    def replace(self, endpoint: Endpoint) -> None:
        """Take a changed endpoint into the copy, before the next look."""
        self._endpoints = [
            endpoint if (one.tenant, one.webhook.id) == (endpoint.tenant, endpoint.webhook.id) else one
            for one in self._endpoints or []
        ]
