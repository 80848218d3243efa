"""Makes consumer groups, and the names of processes in them."""

import os
import secrets
import socket
from functools import partial

from redis.exceptions import ResponseError

from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import translating
from millstream_streams.errors import StoreError


def consumer_name() -> str:
    """Return `host:pid:nonce`. The nonce is new at each start: a name that came back would confuse recovery."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


async def make_group(client: Client, stream: str, group: str) -> None:
    """Make a group that reads a stream from its oldest entry, unless it exists.

    Raises: StoreUnavailableError, StoreError.
    """
    try:
        # From 0, not from $, or what already waits would never be delivered.
        await translating(partial(client.xgroup_create, stream, group, id="0", mkstream=True))
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise StoreError(f"{stream} is no stream") from error
