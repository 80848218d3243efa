"""Actions are noted before they begin and recorded once, within bounds, also on a full server."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import DEFAULT_TENANT, AuditEntry, AuditOutcome, limits, new_audit_id
from millstream_streams import Broker, StoreError, StoreFullError, open_broker
from millstream_streams.reading import audit_trail

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def action() -> AuditEntry:
    """Return an action that has begun."""
    return AuditEntry(
        id=new_audit_id(NOW), tenant=DEFAULT_TENANT, at=NOW, action="pauseQueue", outcome=AuditOutcome.UNKNOWN
    )


def ended(entry: AuditEntry) -> AuditEntry:
    """Return an action that has ended."""
    return replace(entry, outcome=AuditOutcome.DONE)


async def test_end_takes_the_place_of_the_begin_once(broker: Broker) -> None:
    """An action that is ended twice, as by a repeated call, is one record; so is one that is begun twice."""
    entry = action()
    for _ in range(2):
        assert await broker.audit_trail.begin_action(entry, is_stored=True)
    assert await broker.audit_trail.begun() == [entry]
    assert await broker.audit_trail.end_action(ended(entry), is_stored=True)
    assert not await broker.audit_trail.end_action(ended(entry), is_stored=True)
    assert await broker.audit_trail.begun() == []
    assert (await broker.audit_trail.waiting(9)).entries == [ended(entry)]


async def test_nothing_begins_where_too_many_records_wait(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a history that takes nothing an action too many must not begin; one that has begun may end."""
    monkeypatch.setattr(limits, "MAX_AUDIT_ENTRIES", 2)
    first, second, third = action(), action(), action()
    assert await broker.audit_trail.begin_action(first, is_stored=True)
    assert await broker.audit_trail.end_action(ended(first), is_stored=True)
    assert await broker.audit_trail.begin_action(second, is_stored=True)
    assert not await broker.audit_trail.begin_action(third, is_stored=True)
    assert await broker.audit_trail.end_action(ended(second), is_stored=True)
    assert await broker.audit_trail.begin_action(third, is_stored=False)
    await broker.audit_trail.end_action(ended(third), is_stored=True)
    assert await broker.audit_trail.count_waiting() == 3


async def test_oldest_records_go_where_no_history_takes_them(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a history the trail is bounded by dropping the oldest records."""
    monkeypatch.setattr(limits, "MAX_AUDIT_ENTRIES", 10)
    for _ in range(500):
        entry = action()
        assert await broker.audit_trail.begin_action(entry, is_stored=False)
        assert await broker.audit_trail.end_action(ended(entry), is_stored=False)
    # Redis drops whole nodes of a stream.
    assert await broker.audit_trail.count_waiting() < 250
    assert (await broker.audit_trail.waiting(500)).entries[-1] == ended(entry)


async def test_refusals_leave_room_for_actions(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are recorded up to a bound below that of actions."""
    monkeypatch.setattr(audit_trail, "MAX_REFUSALS", 2)
    assert [await broker.audit_trail.record_refusal(ended(action())) for _ in range(3)] == [True, True, False]
    assert await broker.audit_trail.begin_action(action(), is_stored=True)


async def test_action_is_recorded_on_a_full_server(own_redis: EmbeddedRedis) -> None:
    """What frees memory, such as a cancellation, has its record on a full server; a refusal has none there."""
    async with open_broker(own_redis.url, patience_s=0.0) as broker:
        await broker.client.config_set("maxmemory", 1)
        entry = action()
        assert await broker.audit_trail.begin_action(entry, is_stored=True)
        assert await broker.audit_trail.end_action(ended(entry), is_stored=True)
        with pytest.raises(StoreFullError):
            await broker.audit_trail.record_refusal(ended(entry))
        await broker.client.config_set("maxmemory", 0)


async def test_key_of_another_program_is_an_error_of_ours(broker: Broker) -> None:
    """A key of another type is told without its content, and reads find nothing there."""
    for name in (broker.keys.audit_open, broker.keys.audit_trail, broker.keys.audit_heads):
        await broker.client.set(name, "secret")
    with pytest.raises(StoreError, match="the audit trail cannot be stored"):
        await broker.audit_trail.begin_action(action(), is_stored=True)
    assert await broker.audit_trail.begun() == []
    assert (await broker.audit_trail.waiting(9)).places == []
    assert await broker.audit_trail.count_waiting() == 0
    assert await broker.audit_trail.head(DEFAULT_TENANT) is None
    for name in (broker.keys.audit_open, broker.keys.audit_trail, broker.keys.audit_heads):
        await broker.client.delete(name)
