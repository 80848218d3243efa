"""The page of audit records over a real ingest, read without script."""

from datetime import UTC, datetime, timedelta

from console.serving import Browser
from ingest.serving import Ingest

from millstream_contracts import DEFAULT_TENANT, AuditEntry, AuditOutcome, new_audit_id

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
NOW = datetime.now(UTC).replace(microsecond=0)


async def recorded(remembering: Ingest, count: int = 1, **fields: object) -> None:
    """Store some records."""
    history = remembering.services.history
    assert history is not None
    await history.audit.make_months(NOW.date())
    known: dict[str, object] = {
        "action": "pauseQueue",
        "outcome": AuditOutcome.DONE,
        "target": "/v1/queues/email.send/pause",
        "key_id": "7Kq2vXbA",
        "key_name": HOSTILE,
        "address": "192.0.2.7",
        "changes": {"paused": {"before": False, "after": True}},
        **fields,
    }
    times = [NOW + timedelta(milliseconds=number) for number in range(count)]
    await history.audit.store([AuditEntry(id=new_audit_id(at), tenant=DEFAULT_TENANT, at=at, **known) for at in times])


async def test_without_a_history_the_page_says_so(console: Browser) -> None:
    """Where there is no history the page says what is missing."""
    assert "There is no history" in (await console.get("/audit")).text


async def test_record_says_who_what_and_how_it_ended(archive: Browser, remembering: Ingest) -> None:
    """A row has outcome, action, target, who and from where, and what has changed; a name of a user is text."""
    assert "No record yet" in (await archive.get("/audit")).text
    await recorded(remembering)
    [row] = (await archive.get("/audit")).rows()
    for word in ("done", "pauseQueue", "/v1/queues/email.send/pause", "<img src=x", "192.0.2.7", "paused False → True"):
        assert word in row


async def test_records_are_filtered_and_paged(archive: Browser, remembering: Ingest) -> None:
    """Filters hold together and on the next page, and a page leads to the older ones."""
    await recorded(remembering, count=60)
    await recorded(remembering, action="revokeKey", target="/v1/keys/a", outcome=AuditOutcome.REFUSED, changes={})
    assert len((await archive.get("/audit?outcome=refused")).rows()) == 1
    assert len((await archive.get("/audit?action=revokeKey&key=7Kq2vXbA&target=/v1/keys/")).rows()) == 1
    assert "No record is like that" in (await archive.get("/audit?key=other")).text
    page = await archive.get("/audit?action=pauseQueue")
    older = await archive.get(str(page.the("a[rel=next]")["href"]))
    assert (len(page.rows()), len(older.rows())) == (50, 10)
