"""Tokens of the limits of the API in Redis, which all ingest processes take from.

A limit is one member of a sorted set, up to when it is spent; Redis drops those that are full again.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, translating
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import ACCESS, Argument, load_script, run_script

_US = 1_000_000


class TokenRequest(Struct, frozen=True, kw_only=True):
    """What to take of one limit."""

    name: str
    rate_per_s: float
    burst: int
    """How many tokens the limit holds."""
    owed: int = 0
    """How many were let through already; they are taken whatever is left."""
    fewest: int = 0
    """None are taken where so many are not there."""
    most: int = 0


class TokenGrant(Struct, frozen=True):
    """What was taken of one limit."""

    taken: int
    """Beside those that were owed."""
    left: int
    wait_s: float
    """How long until the fewest that were asked for are there; 0 where some were taken."""


class RateTokens:
    """Takes tokens. A call is never repeated: its tokens would be taken twice."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def take_tokens(self, requests: Sequence[TokenRequest]) -> list[TokenGrant]:
        """Take tokens of some limits, each for itself; grants are in the order of requests. Raises: StoreError."""
        arguments: list[Argument] = []
        for one in requests:
            token_us = f"{_US / one.rate_per_s:.6f}"
            arguments += (one.name, token_us, one.burst, one.owed, one.fewest, one.most)
        reply = await self._run("take_tokens", arguments)
        return [TokenGrant(reply[at], reply[at + 1], reply[at + 2] / _US) for at in range(0, len(reply), 3)]

    async def _run(self, name: str, arguments: list[Argument]) -> list[int]:
        script, names = load_script(ACCESS + name), (self._keys.rates,)
        try:
            reply: Any = await translating(lambda: run_script(self._client, script, names, arguments))
        except REDIS_ERRORS as error:
            raise failed("no tokens can be taken", error) from error
        return [int(one) for one in reply]
