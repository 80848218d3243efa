"""Both clients read the audit trail, page by page, and verify its chain by what the API has hashed."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sdk.client.scripted_api import Connect, Reply, ScriptedApi
from sdk.client.test_following import all_of

from millstream import AuditLink
from millstream_contracts import AuditEntry, AuditOutcome, audit_hash, chained

AT = datetime(2026, 11, 28, tzinfo=UTC)


def chain(count: int) -> list[dict[str, Any]]:
    """Return the records of a chain as JSON values."""
    records: list[dict[str, Any]] = []
    last: AuditLink | None = None
    for number in range(count):
        entry = AuditEntry(
            id=f"au_{number}", tenant="default", at=AT, action="pauseQueue", outcome=AuditOutcome.DONE, asked={"x": 1.5}
        )
        record = chained(entry, last)
        last = AuditLink(seq=record.seq, hash=record.hash)
        records.append(msgspec.to_builtins(record))
    return records


def ends(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer about the ends of a chain."""
    link = {"seq": records[-1]["seq"], "hash": records[-1]["hash"]}
    return {"tenant": "default", "last": link, "head": link}


async def test_page_is_asked_for_by_its_filters(connect: Connect, api: ScriptedApi) -> None:
    """Filters are sent as the API has them."""
    api.script.append(Reply(200, {"items": chain(1)}))
    page = await connect().audit(key="a", action="revokeKey", outcome="refused", target="/v1/keys/", after=AT)
    assert page.items[0].action == "pauseQueue"
    asked = {"key": "a", "action": "revokeKey", "outcome": "refused", "target": "/v1/keys/", "limit": "100"}
    assert api.received[0].query == {name: [text] for name, text in asked.items()} | {"after": [AT.isoformat()]}


async def test_whole_chain_of_two_pages_is_verified(connect: Connect, api: ScriptedApi) -> None:
    """A verification reads all pages from the oldest on, also records with fields that this release does not know."""
    records = chain(2)
    newer = {**records[1], "seal": "x"}
    newer["hash"] = audit_hash(newer)
    records[1] = newer
    api.script += [
        Reply(200, ends(records)),
        Reply(200, {"items": records[:1], "next_cursor": "MQ"}),
        Reply(200, {"items": records[1:]}),
    ]
    found = await connect().verify_audit()
    assert found.is_whole
    assert (found.records, found.last) == (2, AuditLink(seq=2, hash=newer["hash"]))
    assert api.received[1].query["order"] == ["oldest"]
    assert api.received[2].query["cursor"] == ["MQ"]


@pytest.mark.parametrize("known", [None, AuditLink(seq=1, hash="0" * 64)])
async def test_chain_that_does_not_hold_is_told(connect: Connect, api: ScriptedApi, known: AuditLink | None) -> None:
    """An altered record is named; so is one that is another than was known before."""
    records = chain(3)
    if known is None:
        records[1]["action"] = "resumeQueue"
    api.script += [Reply(200, ends(records)), Reply(200, {"items": records})]
    found = await connect().verify_audit(known=known)
    assert [fault.seq for fault in found.faults] == [2 if known is None else 1]


async def test_trail_is_followed_from_the_oldest_record(connect: Connect, api: ScriptedApi) -> None:
    """The iterator goes through all pages."""
    records = chain(2)
    api.script += [
        Reply(200, {"items": records[:1], "next_cursor": "MQ"}),
        Reply(200, {"items": records[1:]}),
    ]
    found = await all_of(await connect().audit_trail(page_size=1))
    assert [record.seq for record in found] == [1, 2]


async def test_ends_of_the_chain_are_read(connect: Connect, api: ScriptedApi) -> None:
    """The ends come as the API has them."""
    records = chain(1)
    api.script.append(Reply(200, ends(records)))
    found = await connect().audit_chain()
    assert (found.cut, found.head) == (None, AuditLink(seq=1, hash=records[0]["hash"]))
