"""The duty `audit-historian` moves audit records into the history once each, and ends those that were lost."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, AuditEntry, AuditLink, AuditOutcome, AuditRecord, Tenant, new_audit_id
from millstream_dispatcher.audit_historian import LOST_AFTER_S, RECORDS_AT_ONCE, AuditHistorian
from millstream_history import AuditQuery, History, open_history
from millstream_streams import Broker, StoreError
from millstream_telemetry import AuditMetrics, MetricRegistry


def action(ago_s: float = 0.0, tenant: Tenant = DEFAULT_TENANT) -> AuditEntry:
    """Return an action that has begun."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=ago_s)
    return AuditEntry(
        id=new_audit_id(at), tenant=tenant, at=at, action="pauseQueue", outcome=AuditOutcome.UNKNOWN, key_id="a"
    )


async def done(broker: Broker, count: int = 1) -> list[AuditEntry]:
    """Record some actions as done. Returns: their records."""
    entries = [replace(action(), outcome=AuditOutcome.DONE) for _ in range(count)]
    for entry in entries:
        assert await broker.audit_trail.begin_action(entry, is_stored=True)
        assert await broker.audit_trail.end_action(entry, is_stored=True)
    return entries


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield a history."""
    async with open_history(history_url) as opened:
        yield opened


def duty_of(broker: Broker, history: History | None) -> AuditHistorian:
    """Return the duty of a dispatcher."""
    return AuditHistorian(broker, history, AuditMetrics(MetricRegistry()), kept_days=400)


async def in_history(history: History) -> list[AuditRecord]:
    """Return the records of the history, in their order."""
    return await history.audit.page(DEFAULT_TENANT, AuditQuery(is_oldest_first=True), behind=None, limit=500)


async def test_records_go_to_the_history_and_leave_redis(broker: Broker, history: History) -> None:
    """What waits is stored in its order, leaves Redis, and Redis notes the last of it."""
    entries = await done(broker, 3)
    passed = await duty_of(broker, history).run_once()
    found = await in_history(history)
    assert (passed.stored, passed.more) == (3, False)
    assert [record.id for record in found] == [entry.id for entry in entries]
    assert await broker.audit_trail.count_waiting() == 0
    head = await broker.audit_trail.head(DEFAULT_TENANT)
    assert head == AuditLink(seq=3, hash=found[-1].hash)


async def test_records_of_a_killed_dispatcher_are_stored_once(
    broker: Broker, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dispatcher that is killed between the history and Redis leaves records to the next, which stores none again."""

    async def killed(*_: object) -> None:
        raise StoreError("killed")

    await done(broker, 2)
    for step in ("note_heads", "forget"):
        with monkeypatch.context() as patch:
            patch.setattr(type(broker.audit_trail), step, killed)
            with pytest.raises(StoreError):
                await duty_of(broker, history).run_once()
        assert await broker.audit_trail.count_waiting() == 2
    await done(broker)
    await duty_of(broker, history).run_once()
    assert [record.seq for record in await in_history(history)] == [1, 2, 3]
    assert (await broker.audit_trail.head(DEFAULT_TENANT)).seq == 3


async def test_action_whose_ingest_was_lost_is_recorded_as_unknown(broker: Broker, history: History) -> None:
    """An action that has begun and never ended is one record with an unknown outcome; a young one may end yet."""
    lost, young = action(LOST_AFTER_S + 5), action()
    for entry in (lost, young):
        await broker.audit_trail.begin_action(entry, is_stored=True)
    passed = await duty_of(broker, history).run_once()
    assert passed.lost == 1
    assert [(record.id, record.outcome) for record in await in_history(history)] == [(lost.id, AuditOutcome.UNKNOWN)]
    assert await broker.audit_trail.begun() == [young]
    assert not await broker.audit_trail.end_action(replace(lost, outcome=AuditOutcome.DONE), is_stored=True)


async def test_records_wait_where_there_is_no_history(broker: Broker) -> None:
    """Without a history records stay in Redis, for one that comes later."""
    await done(broker, 2)
    assert (await duty_of(broker, None).run_once()).stored == 0
    assert await broker.audit_trail.count_waiting() == 2


async def test_what_is_no_record_stops_nothing(broker: Broker, history: History) -> None:
    """What another program has put into the trail is dropped, and the records around it are stored."""
    await done(broker)
    await broker.client.xadd(broker.keys.audit_trail, {"r": b"\xff"})
    await broker.client.xadd(broker.keys.audit_trail, {"other": "x"})
    await broker.client.hset(broker.keys.audit_open, "x", b"\xff")
    await done(broker)
    await duty_of(broker, history).run_once()
    assert len(await in_history(history)) == 2
    assert await broker.audit_trail.count_waiting() == 0
    await broker.client.hdel(broker.keys.audit_open, "x")


async def test_many_records_are_stored_in_several_passes(broker: Broker, history: History) -> None:
    """A pass that has stored as many as it may comes back at once."""
    entry = replace(action(), outcome=AuditOutcome.DONE)
    for number in range(RECORDS_AT_ONCE + 1):
        await broker.audit_trail.record_refusal(replace(entry, id=f"{entry.id}{number}"))
    duty = duty_of(broker, history)
    passes = [await duty.run_once(), await duty.run_once()]
    assert [one.stored for one in passes] == [RECORDS_AT_ONCE, 1]
    assert [one.more for one in passes] == [True, False]


async def test_loss_of_records_is_logged_and_keeps_the_head(
    broker: Broker, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    """A history that has fewer records than Redis knows of was set back: that is logged, and the head stays."""
    await broker.audit_trail.note_heads({DEFAULT_TENANT: AuditLink(seq=9, hash="f" * 64)})
    await done(broker)
    await duty_of(broker, history).run_once()
    assert "the history has lost audit records" in capsys.readouterr().out
    assert (await broker.audit_trail.head(DEFAULT_TENANT)).seq == 9
