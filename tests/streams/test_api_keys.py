"""Keys of the API are changed all or none, and only where they are what was read."""

import pytest
from msgspec.structs import replace

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import DEFAULT_TENANT, limits
from millstream_streams import (
    Broker,
    KeyChange,
    StoredApiKey,
    StoreError,
    StoreFullError,
    TooManyKeysError,
    open_broker,
)

KEY = StoredApiKey(digest=b"d" * 32, tenant=DEFAULT_TENANT, name="a", role="admin", created_at_ms=1)


async def test_change_of_what_was_not_read_changes_nothing(broker: Broker):
    """A change of a key that is another by now is not made, and neither are those that go with it."""
    assert await broker.api_keys.put_keys([KeyChange("a", None, KEY)])
    changed, other = replace(KEY, name="b"), replace(KEY, name="c")
    assert await broker.api_keys.put_keys([KeyChange("a", KEY, changed)])
    assert not await broker.api_keys.put_keys([KeyChange("x", None, KEY), KeyChange("a", KEY, other)])
    assert not await broker.api_keys.put_keys([KeyChange("a", None, other)])
    assert (await broker.api_keys.all())[1] == {"a": changed}


async def test_repetition_of_a_change_is_done_already(broker: Broker):
    """A change whose answer was lost is made once, though it is sent again, and moves the version once."""
    change = [KeyChange("a", None, KEY)]
    assert await broker.api_keys.put_keys(change)
    version = await broker.api_keys.version()
    assert version
    assert await broker.api_keys.put_keys(change)
    assert await broker.api_keys.version() == version
    gone = [KeyChange("a", None, None)]
    assert await broker.api_keys.put_keys(gone)
    assert await broker.api_keys.version() != version
    assert await broker.api_keys.put_keys(gone)


async def test_removal_takes_the_last_use_along_and_compares_nothing(broker: Broker):
    """A key that a newer release has written is removed all the same, with the note of its last use."""
    await broker.client.hset(broker.keys.api_keys, "a", b"\x82\xa1z\x01\xa1y\x02")
    await broker.api_keys.note_uses({"a": 5, "b": 6})
    assert await broker.api_keys.uses(["a", "b", "c"]) == {"a": 5, "b": 6}
    assert await broker.api_keys.put_keys([KeyChange("a", None, None)])
    assert await broker.api_keys.get("a") is None
    assert await broker.api_keys.uses(["a", "b"]) == {"b": 6}


async def test_there_are_no_more_keys_than_may_be(broker: Broker, monkeypatch: pytest.MonkeyPatch):
    """A key too many is refused; a key that is changed, or takes the place of another, is none."""
    monkeypatch.setattr(limits, "MAX_API_KEYS", 1)
    assert await broker.api_keys.put_keys([KeyChange("a", None, KEY)])
    with pytest.raises(TooManyKeysError):
        await broker.api_keys.put_keys([KeyChange("b", None, KEY)])
    assert await broker.api_keys.put_keys([KeyChange("a", None, None), KeyChange("b", None, KEY)])
    assert set((await broker.api_keys.all())[1]) == {"b"}


async def test_key_of_another_type_is_told_and_reads_as_empty(broker: Broker):
    """Where another program has written the hash, there are no keys, and a change is an error without its arguments."""
    await broker.client.set(broker.keys.api_keys, "x")
    assert await broker.api_keys.version() == b""
    assert await broker.api_keys.all() == (b"", {})
    assert await broker.api_keys.get("a") is None
    with pytest.raises(StoreError, match="the keys cannot be stored") as caught:
        await broker.api_keys.put_keys([KeyChange("a", None, KEY)])
    assert "ddd" not in str(caught.value)
    await broker.client.delete(broker.keys.api_keys)


async def test_key_is_revoked_on_a_full_server(own_redis: EmbeddedRedis, namespace: str):
    """Where Redis takes no more, a key is refused, and one that is there is still removed."""
    async with open_broker(own_redis.url, namespace=namespace) as broker:
        assert await broker.api_keys.put_keys([KeyChange("a", None, KEY)])
        await broker.client.config_set("maxmemory", 1)
        with pytest.raises(StoreFullError):
            await broker.api_keys.put_keys([KeyChange("b", None, KEY)])
        assert await broker.api_keys.put_keys([KeyChange("a", None, None)])
        assert (await broker.api_keys.all())[1] == {}
