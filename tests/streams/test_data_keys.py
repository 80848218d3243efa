"""succeed_data_key.lua makes one key the present one of a tenant, also where two processes make one at once."""

import msgspec
import pytest
from msgspec.structs import replace

from millstream_codec import StoredDataKey
from millstream_streams import Broker, KeptDataKey
from millstream_streams.reading import data_keys

FIRST = StoredDataKey(kek="kek1", wrapped=b"1", made_at_ms=1)
SECOND = StoredDataKey(kek="kek1", wrapped=b"2", made_at_ms=2)


async def test_the_first_of_two_keys_is_the_present_one(broker: Broker) -> None:
    """Who comes second with a key of a month gets the first one, and so does a repetition."""
    keys = broker.data_keys
    assert await keys.current("acme") == ("", None)
    assert await keys.succeed_data_key("acme", "", "2026-11", FIRST) == ("2026-11", FIRST)
    assert await keys.succeed_data_key("acme", "", "2026-11", SECOND) == ("2026-11", FIRST)
    assert await keys.current("acme") == ("2026-11", FIRST)


async def test_a_new_key_leaves_the_old_one(broker: Broker) -> None:
    """Older keys are kept, and keys of other tenants are not touched."""
    keys = broker.data_keys
    await keys.succeed_data_key("acme", "", "2026-11", FIRST)
    await keys.succeed_data_key("other", "", "2026-11", SECOND)
    assert await keys.succeed_data_key("acme", "2026-11", "2026-12", SECOND) == ("2026-12", SECOND)
    assert await keys.get("acme", "2026-11") == FIRST
    assert [one async for one in keys.all()] == [
        KeptDataKey("acme", "2026-11", FIRST, False),
        KeptDataKey("acme", "2026-12", SECOND, True),
        KeptDataKey("other", "2026-11", SECOND, True),
    ]


async def test_the_first_lasting_key_stays(broker: Broker) -> None:
    """Of two processes that make a lasting key the first has made it, and the present key is not touched."""
    keys = broker.data_keys
    await keys.succeed_data_key("acme", "", "2026-11", FIRST)
    assert await keys.make_lasting_key("acme", "lasting", FIRST) == FIRST
    assert await keys.make_lasting_key("acme", "lasting", SECOND) == FIRST
    assert await keys.get("acme", "lasting") == FIRST
    assert await keys.current("acme") == ("2026-11", FIRST)


async def test_a_key_in_another_wrapping_takes_its_place(broker: Broker) -> None:
    """A key that was wrapped anew is read as such, and stays the present one."""
    await broker.data_keys.succeed_data_key("acme", "", "2026-11", FIRST)
    await broker.data_keys.put("acme", "2026-11", SECOND)
    assert await broker.data_keys.current("acme") == ("2026-11", SECOND)


async def test_keys_are_counted_by_what_wraps_them(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key-encryption key has the number of data keys that it wraps, of however many there are, and one of them."""
    monkeypatch.setattr(data_keys, "SCANNED_AT_ONCE", 10)
    keys = broker.data_keys
    assert await keys.by_key_encryption_key() == {}
    blob = msgspec.msgpack.encode(FIRST)
    await broker.client.hset(broker.keys.data_keys, mapping={f"acme{one} 2026-11": blob for one in range(700)})
    await keys.succeed_data_key("other", "", "2026-11", replace(SECOND, kek="kek0"))
    await broker.client.hset(broker.keys.data_keys, "other 2026-10", b"garbage")
    found = await keys.by_key_encryption_key()
    assert {kek: one.count for kek, one in found.items()} == {"kek0": 1, "kek1": 700}
    assert (found["kek0"].sample.tenant, found["kek0"].sample.kid) == ("other", "2026-11")


async def test_garbage_is_no_key(broker: Broker) -> None:
    """A field that cannot be read is left out of lists, and is no key."""
    await broker.data_keys.succeed_data_key("acme", "", "2026-11", FIRST)
    await broker.client.hset(broker.keys.data_keys, "acme 2026-10", b"garbage")
    assert await broker.data_keys.get("acme", "2026-10") is None
    assert [one.kid async for one in broker.data_keys.all()] == ["2026-11"]
