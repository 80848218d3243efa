"""Tokens of limits are taken at their rate and no faster, whatever the clock of the server does."""

from typing import Any

import pytest
from msgspec.structs import replace

from millstream_cli.embedded import EmbeddedRedis
from millstream_streams import Broker, StoreError, TokenGrant, TokenRequest, open_broker

HOUR_US = 3_600_000_000
SLOW = TokenRequest(name="key/a/submissions", rate_per_s=0.01, burst=10)
"""A limit of which no token comes back while a test runs."""


async def take(broker: Broker, **changes: Any) -> TokenGrant:
    """Take tokens of the slow limit."""
    [grant] = await broker.rate_tokens.take_tokens([replace(SLOW, **changes)])
    return grant


async def spend(broker: Broker, ahead_us: int, **changes: Any) -> None:
    """Set up to when the limit is spent, by the clock of the server."""
    seconds, micros = await broker.client.time()
    await broker.client.zadd(broker.keys.rates, {SLOW.name: seconds * 1_000_000 + micros + ahead_us})


async def test_no_more_is_taken_than_there_is(broker: Broker):
    """A limit gives what it holds, part by part, then nothing, and says how long one takes to come back."""
    assert await take(broker, fewest=1, most=4) == TokenGrant(4, 6, 0)
    assert await take(broker, fewest=1, most=50) == TokenGrant(6, 0, 0)
    refused = await take(broker, fewest=2, most=2)
    assert (refused.taken, refused.left) == (0, 0)
    assert 100 < refused.wait_s <= 200


async def test_all_are_taken_or_none_where_fewer_are_there(broker: Broker):
    """A request with many jobs takes all of its tokens or none, and leaves the rest to others."""
    assert (await take(broker, fewest=8, most=8)).taken == 8
    assert (await take(broker, fewest=3, most=3)).taken == 0
    assert (await take(broker, fewest=2, most=2)).taken == 2


async def test_owed_tokens_are_taken_in_any_case(broker: Broker):
    """What was let through already counts, also where the limit was spent, and delays what comes next."""
    assert await take(broker, owed=3) == TokenGrant(0, 7, 0)
    assert (await take(broker, owed=9)).left == 0
    waited = await take(broker, fewest=1, most=1)
    assert 200 < waited.wait_s <= 300


async def test_tokens_come_back_with_time(broker: Broker):
    """A limit that was spent up to a moment in the past is full again, and one of the near past is forgotten."""
    await take(broker, owed=10)
    await spend(broker, -1)
    assert (await take(broker, fewest=10, most=10)).taken == 10
    await spend(broker, -1)
    assert (await broker.rate_tokens.take_tokens([replace(SLOW, name="key/b/submissions", owed=1)]))[0].left == 9
    assert await broker.client.zrange(broker.keys.rates, 0, -1) == [b"key/b/submissions"]


async def test_clock_that_is_set_back_delays_a_limit_no_longer_than_it_takes_to_fill(broker: Broker):
    """After the clock of the server went back by a day, a key waits until its limit could have filled once more."""
    fast = replace(SLOW, rate_per_s=10.0, fewest=1, most=1)
    await spend(broker, 24 * HOUR_US)
    [grant] = await broker.rate_tokens.take_tokens([fast])
    assert grant.taken == 0
    assert grant.wait_s <= (fast.burst + 1) / fast.rate_per_s


async def test_limits_are_apart(broker: Broker):
    """Of limits that are asked for together each gives for itself, in the order of the question."""
    other = replace(SLOW, name="tenant/acme/submissions", burst=2)
    requests = [replace(SLOW, fewest=1, most=10), replace(other, fewest=1, most=10)]
    assert [one.taken for one in await broker.rate_tokens.take_tokens(requests)] == [10, 2]


async def test_limit_that_was_lowered_counts_at_once(broker: Broker):
    """Where a limit holds less than before, what was taken under the old one does not count beyond the new one."""
    await take(broker, fewest=9, most=9)
    assert (await take(broker, burst=5, fewest=1, most=5)).taken == 0


async def test_full_server_limits_requests(own_redis: EmbeddedRedis, namespace: str):
    """Where Redis takes no more data, requests still get tokens, and are refused without one."""
    async with open_broker(own_redis.url, namespace=namespace) as broker:
        await broker.client.config_set("maxmemory", 1)
        assert (await take(broker, fewest=10, most=10)).taken == 10
        assert (await take(broker, fewest=1, most=1)).taken == 0


async def test_key_of_another_type_is_told(broker: Broker):
    """Where another program has written the key, that is an error without its arguments."""
    await broker.client.set(broker.keys.rates, "x")
    with pytest.raises(StoreError, match="no tokens can be taken") as caught:
        await take(broker, fewest=1, most=1)
    assert SLOW.name not in str(caught.value)
    await broker.client.delete(broker.keys.rates)
