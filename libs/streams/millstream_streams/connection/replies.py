"""Brings replies into one form, whichever client has read them."""

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from millstream_streams.connection.pipelined import PipelinedClient, PipelinedCommands

T = TypeVar("T")


def streams_of(reply: Any) -> list[tuple[bytes, list[Any]]]:
    """Return the result of XREADGROUP: for each stream with entries, its key and the entries."""
    if not reply:
        return []
    return list(reply.items()) if isinstance(reply, dict) else reply


def fields_of(fields: Any) -> dict[bytes, bytes]:
    """Return the fields of an entry or a hash: redis-py makes a dict of what Redis sends as one list."""
    if isinstance(fields, dict):
        return fields
    values = iter(fields)
    return dict(zip(values, values, strict=True))


def is_of_wrong_type(error: Exception) -> bool:
    """Return whether an error says that a key has a type other than ours, because another program wrote it."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


async def unless_wrong_type(reply: Awaitable[T], instead: T) -> T:
    """Return a reply, or a substitute when the key has a type other than ours. Raises: redis.RedisError."""
    try:
        return await reply
    except ResponseError as error:
        if not is_of_wrong_type(error):
            raise
        return instead


async def ask_many(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the replies to several commands in one round trip; None for a key with a type other than ours.

    Raises: redis.RedisError, the first one.
    """
    if isinstance(client, PipelinedClient | PipelinedCommands):
        replies = await client.execute_many(commands, keep=is_of_wrong_type)
    else:
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies = await pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception) and not is_of_wrong_type(reply):
            raise reply
    return [None if isinstance(reply, Exception) else reply for reply in replies]
