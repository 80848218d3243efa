"""Replies in one form, whichever client has read them."""

from collections.abc import Sequence
from typing import Any

from millstream_streams.pipelined import PipelinedClient, PipelinedCommands


def streams_of(reply: Any) -> list[tuple[bytes, list[Any]]]:
    """Return what XREADGROUP found: for each stream that has any, its key and entries."""
    if not reply:
        return []
    return list(reply.items()) if isinstance(reply, dict) else reply


def fields_of(fields: Any) -> dict[bytes, bytes]:
    """Return the fields of an entry or a hash: redis-py makes a dict of what Redis sends as one list."""
    if isinstance(fields, dict):
        return fields
    values = iter(fields)
    return dict(zip(values, values, strict=True))


async def ask_many(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the replies to several commands, in one trip. Raises: redis.RedisError, the first one."""
    if isinstance(client, PipelinedClient | PipelinedCommands):
        return await client.execute_many(commands)
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = await pipeline.execute()
    return replies
