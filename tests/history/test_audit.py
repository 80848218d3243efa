"""Audit records are only added, each once, and chained, so that a change of what is stored shows."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from history.test_days import grant_rights
from history_databases import execute, query
from sqlalchemy.engine import make_url

from millstream_contracts import (
    DEFAULT_TENANT,
    AuditChain,
    AuditEntry,
    AuditLink,
    AuditOutcome,
    AuditVerification,
    ChainChecker,
    Tenant,
    new_audit_id,
)
from millstream_history import AuditQuery, History, HistoryError, open_history

NOW = datetime.now(UTC).replace(microsecond=123_000)
ACME = Tenant("acme")
COPY = (
    "INSERT INTO audit_records SELECT tenant, seq, id, at, action, outcome, key_id, target, entry, previous, hash, "
    "stored_at + interval '1 s' FROM audit_records WHERE seq = 3"
)
OLDEST_FIRST = AuditQuery(is_oldest_first=True)


def entry(number: int = 0, tenant: Tenant = DEFAULT_TENANT, **fields: object) -> AuditEntry:
    """Return an entry, with values that are written in more than one way."""
    at = NOW + timedelta(milliseconds=number)
    values: dict[str, object] = {
        "action": "pauseQueue",
        "outcome": AuditOutcome.DONE,
        "key_id": "7Kq2vXbA",
        "target": f"/v1/queues/type-{number}/pause",
        "asked": {"z": 1.0, "a": 1e22, "ü": "\u0000\u2028", "n": None, "list": [1, "1", True]},
        **fields,
    }
    return AuditEntry(id=new_audit_id(at), tenant=tenant, at=at, **values)


async def stored(history: History, count: int = 5) -> None:
    """Store some entries of two tenants."""
    await history.audit.make_months(NOW.date())
    await history.audit.store([entry(number, tenant) for number in range(count) for tenant in (DEFAULT_TENANT, ACME)])


async def verified(
    history: History, head: AuditLink | None = None, known: AuditLink | None = None
) -> AuditVerification:
    """Verify the chain as a client does, from what is shown."""
    cut, last = await history.audit.ends(DEFAULT_TENANT)
    checker = ChainChecker(AuditChain(tenant=DEFAULT_TENANT, cut=cut, last=last, head=head), known)
    records = await history.audit.page(DEFAULT_TENANT, OLDEST_FIRST, behind=None, limit=500)
    for record in records:
        # As it comes over HTTP: hashes have to be those of what was decoded.
        checker.check(msgspec.json.decode(msgspec.json.encode(record)))
    return checker.result()


async def tampered(url: str, statement: str) -> None:
    """Change what is stored, as the owner of the tables can once it has removed the trigger."""
    await execute(url, f"ALTER TABLE audit_records DISABLE TRIGGER ALL; {statement}")


async def test_chain_of_each_tenant_is_whole(history_url: str) -> None:
    """What is stored in several batches is one chain for each tenant, whose numbers have no gap."""
    async with open_history(history_url) as history:
        await stored(history)
        heads = await history.audit.store([entry(7)])
        found = await verified(history, heads[DEFAULT_TENANT])
        others = await history.audit.page(ACME, OLDEST_FIRST, behind=None, limit=500)
    assert (found.records, found.faults) == (6, [])
    assert found.last == heads[DEFAULT_TENANT]
    assert [record.seq for record in others] == [1, 2, 3, 4, 5]
    assert {record.tenant for record in others} == {ACME}


async def test_repeated_entries_are_stored_once(history_url: str) -> None:
    """An entry that is stored again, as after a killed dispatcher, or twice in one batch, is one record."""
    async with open_history(history_url) as history:
        await history.audit.make_months(NOW.date())
        first, second = entry(1), entry(2)
        await history.audit.store([first, first])
        again = await history.audit.store([first, second])
        found = await verified(history)
    assert found.records == 2
    assert found.faults == []
    assert again[DEFAULT_TENANT].seq == 2


@pytest.mark.parametrize(
    ("statement", "seq", "words"),
    [
        ("UPDATE audit_records SET action = 'resumeQueue' WHERE seq = 3 AND tenant = 'default'", 3, "altered"),
        ("UPDATE audit_records SET outcome = 'refused' WHERE seq = 3 AND tenant = 'default'", 3, "altered"),
        ("UPDATE audit_records SET key_id = 'x' WHERE seq = 3 AND tenant = 'default'", 3, "altered"),
        ("UPDATE audit_records SET at = at - interval '1 day' WHERE seq = 3 AND tenant = 'default'", 3, "altered"),
        ("UPDATE audit_records SET entry = replace(entry, 'list', 'lost') WHERE seq = 3", 3, "altered"),
        ("UPDATE audit_records SET entry = '' WHERE seq = 3 AND tenant = 'default'", 3, "altered"),
        ("DELETE FROM audit_records WHERE seq = 3 AND tenant = 'default'", 4, "3 is missing"),
        ("DELETE FROM audit_records WHERE seq < 3 AND tenant = 'default'", 3, "1 to 2 are missing"),
        ("DELETE FROM audit_records WHERE seq = 5 AND tenant = 'default'", 5, "missing at the end"),
        ("DELETE FROM audit_records WHERE tenant = 'default'", 5, "1 to 5 are missing at the end"),
        (
            COPY,
            3,
            "inserted",
        ),
        ("UPDATE audit_records SET tenant = 'acme', seq = 6 WHERE seq = 3 AND tenant = 'default'", 4, "3 is missing"),
    ],
)  # fmt: skip
async def test_verification_finds_what_was_tampered_with(
    history_url: str, statement: str, seq: int, words: str
) -> None:
    """A record that was altered in any column, removed, inserted or moved is found, and its place is named."""
    async with open_history(history_url) as history:
        await stored(history)
        _, head = await history.audit.ends(DEFAULT_TENANT)
        await tampered(history_url, statement)
        found = await verified(history, head)
    assert not found.is_whole
    assert any(fault.seq == seq and words in fault.detail for fault in found.faults), found.faults


async def test_chain_that_was_written_anew_differs_from_what_is_known(history_url: str) -> None:
    """A chain that is whole in itself, and another than the one that was verified before, is found by what is known."""
    async with open_history(history_url) as history:
        await stored(history)
        known = (await verified(history)).last
        await execute(history_url, "TRUNCATE audit_records")
        await stored(history)
        assert (await verified(history)).is_whole
        found = await verified(history, known=known)
    assert [fault.seq for fault in found.faults] == [5]


async def test_owner_cannot_change_records_by_mistake(history_url: str) -> None:
    """The table refuses an update and a deletion to its owner too."""
    async with open_history(history_url) as history:
        await stored(history)
    for statement in ("UPDATE audit_records SET action = 'x'", "DELETE FROM audit_records"):
        with pytest.raises(Exception, match="only added"):
            await execute(history_url, statement)


async def test_services_have_no_right_to_change_records(history_url: str) -> None:
    """The user of a dispatcher adds records, makes months, and can change or remove none; that of ingest reads."""
    role = make_url(history_url).database
    await execute(history_url, f"CREATE ROLE {role} LOGIN; CREATE ROLE {role}_reader LOGIN")
    url = make_url(history_url).set(username=role).render_as_string(hide_password=False)
    reader = make_url(history_url).set(username=f"{role}_reader").render_as_string(hide_password=False)
    try:
        async with open_history(history_url) as history:
            await history.audit.make_months(NOW.date())
        # As after a later migration: partitions are there already.
        grant_rights(history_url, dispatcher=role, ingest=f"{role}_reader")
        async with open_history(url) as history:
            await stored(history)
            await history.audit.drop_months(NOW.date() - timedelta(days=400))
        for statement in (
            "UPDATE audit_records SET action = 'x'",
            "DELETE FROM audit_records",
            "TRUNCATE audit_records",
            f"DELETE FROM audit_records_{NOW:%Y%m}",
            "INSERT INTO audit_cuts VALUES ('default', 5, '', now())",
            "ALTER TABLE audit_records DISABLE TRIGGER ALL",
        ):
            with pytest.raises(Exception, match=r"permission denied|owner"):
                await execute(url, statement)
        async with open_history(reader) as history:
            assert len(await history.audit.page(ACME, AuditQuery(), behind=None, limit=9)) == 5
            with pytest.raises(HistoryError, match="permission denied"):
                await history.audit.store([entry(9)])
    finally:
        for one in (role, f"{role}_reader"):
            await execute(history_url, f"DROP OWNED BY {one} CASCADE; DROP ROLE {one}")


async def test_old_months_go_and_the_chain_goes_on_behind_the_cut(history_url: str) -> None:
    """A month that is dropped leaves where the chain was cut, and what is behind it is still verified."""
    async with open_history(history_url) as history:
        old = date(NOW.year - 1, 1, 1)
        await execute(
            history_url,
            f"CREATE TABLE audit_records_{old:%Y%m} PARTITION OF audit_records "
            f"FOR VALUES FROM ('{old} 00:00Z') TO ('{old:%Y-%m}-28 00:00Z')",
        )
        await stored(history, 2)
        await tampered(history_url, f"UPDATE audit_records SET stored_at = '{old:%Y-%m}-02 00:00Z'")
        await execute(history_url, "ALTER TABLE audit_records ENABLE TRIGGER ALL")
        await history.audit.store([entry(8)])
        assert await history.audit.drop_months(NOW.date() - timedelta(days=62)) == {old: 4}
        assert await history.audit.drop_months(NOW.date() - timedelta(days=62)) == {}
        found = await verified(history)
        later = await history.audit.store([entry(9), entry(9, ACME)])
    assert (found.records, found.faults) == (1, [])
    assert {tenant: link.seq for tenant, link in later.items()} == {DEFAULT_TENANT: 4, ACME: 3}
    assert await query(history_url, "SELECT tenant, seq FROM audit_cuts ORDER BY 1") == [("acme", 2), ("default", 2)]


@pytest.mark.parametrize("call", ["audit_make_month(current_date + 200)", "audit_drop_month(current_date)"])
async def test_functions_refuse_what_no_dispatcher_asks_for(history_url: str, call: str) -> None:
    """The functions run with the rights of an owner, so they drop nothing young and make nothing far away."""
    with pytest.raises(Exception, match=r"too (young|far)"):
        await query(history_url, f"SELECT {call}")


async def test_pages_follow_their_conditions(history_url: str) -> None:
    """A page has the records that fulfil all conditions, in either order, from behind a number on."""
    async with open_history(history_url) as history:
        await history.audit.make_months(NOW.date())
        refused = entry(3, action="revokeKey", outcome=AuditOutcome.REFUSED, target="/v1/keys/a%_b", key_id="other")
        await history.audit.store([entry(1), entry(2), refused, entry(4)])

        async def seqs(behind: int | None = None, **asked: object) -> list[int]:
            found = await history.audit.page(DEFAULT_TENANT, AuditQuery(**asked), behind=behind, limit=2)
            return [record.seq for record in found]

        assert await seqs() == [4, 3]
        assert await seqs(3) == [2, 1]
        assert await seqs(2, is_oldest_first=True) == [3, 4]
        for asked in (
            {"action": "revokeKey"},
            {"outcome": AuditOutcome.REFUSED},
            {"key_id": "other"},
            {"target": "/v1/keys/a%_"},
            {"after": refused.at, "before": refused.at + timedelta(milliseconds=1)},
        ):
            assert await seqs(**asked) == [3], asked
        assert await seqs(target="/v1/keys/a%%") == []
