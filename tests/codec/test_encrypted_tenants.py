"""All jobs of a tenant with `encryption: all` are encrypted, as soon as a process knows of it."""

import pytest
from codec.test_sealing import Shelf, codec

from millstream_codec import LOOKS_AGAIN_AFTER_S, AskedTenants, Codec, KeyLostError, Place, is_sealed
from millstream_contracts import Coding, JobError, KeptLine, KeptLines, Progress

PLAIN = Coding()
SECRET = b"\xa6canary"


class Book:
    """Says which tenants there are, and how often it was asked."""

    def __init__(self, *encrypted: str) -> None:
        self.encrypted = set(encrypted)
        self.asked: list[str] = []
        self.now = 1000.0

    async def ask(self, tenant: str) -> bool:
        """Return whether all jobs of a tenant are to be encrypted."""
        self.asked.append(tenant)
        return tenant in self.encrypted

    def tenants(self) -> AskedTenants:
        """Return what a process knows of them."""
        return AskedTenants(self.ask, lambda: self.now)


async def test_all_that_a_job_of_such_a_tenant_carries_is_encrypted():
    """Payload, error, note and log lines of a type that declares nothing are encrypted, those of others are not."""
    ours = codec(Shelf())
    ours.tenants = Book("acme").tenants()
    for tenant, is_encrypted in (("acme", True), ("globex", False)):
        await ours.prepare(tenant, [PLAIN])
        assert ours.encrypts(PLAIN, tenant) is is_encrypted
        place = Place(tenant, "a_1", "payload")
        stored = ours.write(SECRET, PLAIN, place)
        assert is_sealed(stored) is is_encrypted
        assert await ours.read(stored, place) == SECRET
        error = ours.write_error(JobError("ValueError", "canary", "v2:1"), PLAIN, tenant, "a_1")
        progress = ours.write_progress(Progress(50.0, "canary"), PLAIN, tenant, "a_1")
        lines = ours.write_lines(KeptLines(0, [KeptLine(1, "info", "canary")]), PLAIN, tenant, "a_1")
        for one in (error, progress, lines):
            assert ("canary" not in repr(one)) is is_encrypted


async def test_a_change_is_known_within_its_time():
    """A tenant is asked for once in LOOKS_AGAIN_AFTER_S, and what has changed by then holds, in both directions."""
    book = Book()
    tenants = book.tenants()
    assert not await tenants.look("acme")
    book.encrypted.add("acme")
    book.now += LOOKS_AGAIN_AFTER_S - 0.1
    assert not await tenants.look("acme")
    assert book.asked == ["acme"]
    book.now += 0.1
    assert await tenants.look("acme")
    assert "acme" in tenants
    book.encrypted.clear()
    book.now += LOOKS_AGAIN_AFTER_S
    assert not await tenants.look("acme")
    assert "acme" not in tenants


async def test_without_keys_nothing_of_such_a_tenant_is_written():
    """A process without keys refuses to write for such a tenant, and writes for others."""
    blind = Codec()
    blind.tenants = Book("acme").tenants()
    await blind.prepare("globex", [PLAIN])
    with pytest.raises(KeyLostError, match="MILLSTREAM_ENCRYPTION_KEYS is unset"):
        await blind.prepare("acme", [PLAIN])
