"""Reads the open incidents, for those who may read them."""

from millstream import Client, OpenIncident
from millstream_console.reading.rights import may
from millstream_contracts import Scope


async def read_incidents(client: Client) -> list[OpenIncident]:
    """Return the open incidents; none where the client may not read them. Raises: ApiError."""
    return await client.incidents() if may(client, Scope.QUEUES_MANAGE) else []
