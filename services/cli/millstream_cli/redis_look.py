"""Looks at a Redis of the user's own before `up` starts anything on it."""

import click

from millstream_streams import NEEDS, MissingRightError, RedisAddress, StoreUnavailableError, open_broker


async def look_at_redis(redis: RedisAddress, namespace: str) -> None:
    """Check Redis once, before six processes report the same error. Raises: StoreError, unless Redis is only away."""
    try:
        async with open_broker(redis, namespace=namespace, patience_s=0.0) as broker:
            found = await broker.require_suitable()
            for needs in NEEDS.values():
                rights = await broker.try_rights(needs, found)
                if rights.objection:
                    raise MissingRightError(rights.objection)
    except StoreUnavailableError as error:
        if error.reason != "away":
            raise
        click.echo(f"millstream: {error}; waiting for it", err=True)
