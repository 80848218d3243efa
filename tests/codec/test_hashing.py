"""Keyed hashes of a tenant are the same in every process and for ever, and tell nothing to who has no key."""

import pytest
from codec.test_sealing import DECEMBER, ENCRYPT, Shelf, codec

from millstream_codec import LASTING, Codec, KeyLostError
from millstream_contracts import Coding

KEY = "0f" * 16


async def hashed(codec: Codec, text: str = KEY, tenant: str = "acme") -> str:
    """Return a keyed hash as a process makes it."""
    await codec.prepare(tenant, [ENCRYPT], hashes=True)
    return codec.hashed(text, tenant)


async def test_equal_texts_have_equal_hashes_in_every_process_and_month():
    """Two processes, a later month and a rotation of data keys make the same hash; another tenant makes another."""
    shelf = Shelf()
    first = await hashed(codec(shelf))
    assert first != KEY
    assert await hashed(codec(shelf)) == first
    later = codec(shelf, at=DECEMBER)
    assert await hashed(later) == first
    assert later.keyring is not None
    await later.keyring.rotate("acme")
    assert await hashed(codec(shelf, at=DECEMBER)) == first
    assert await hashed(codec(shelf), "another") != first
    assert await hashed(codec(shelf), tenant="globex") != first
    assert await hashed(codec(Shelf())) != first


async def test_the_lasting_key_is_wrapped_anew_as_others_are():
    """With another key-encryption key the hashes stay, once all keys are wrapped by it; without it there are none."""
    shelf = Shelf()
    first = await hashed(codec(shelf))
    with pytest.raises(KeyLostError):
        await hashed(codec(shelf, "kek2"))
    both = codec(shelf, "kek2", "kek1")
    assert both.keyring is not None
    for (tenant, kid), stored in list(shelf.keys.items()):
        anew = await both.keyring.rewrap(tenant, kid, stored)
        assert anew is not None
        shelf.keys[tenant, kid] = anew
    assert await hashed(codec(shelf, "kek2")) == first


async def test_what_is_not_encrypted_makes_no_lasting_key():
    """Where no job is encrypted, preparing for hashes makes no key."""
    shelf = Shelf()
    await codec(shelf).prepare("acme", [Coding()], hashes=True)
    await codec(shelf).prepare("acme", [ENCRYPT])
    assert ("acme", LASTING) not in shelf.keys
