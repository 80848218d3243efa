"""The duty `partitions` keeps as many days of the history as it is told to, by the clock of Redis."""

from datetime import UTC, datetime, timedelta

import pytest
from history_databases import execute, query

from millstream_contracts import DEFAULT_TENANT, NewOperation
from millstream_dispatcher.partitioner import AGAIN_S, Partitioner
from millstream_history import DAYS_AHEAD, HistoryUnavailableError, open_history
from millstream_streams import Broker
from millstream_telemetry import HistoryMetrics, MetricRegistry

DAY = timedelta(days=1)
PARTS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'jobs'::regclass ORDER BY 1"


def days_ahead(metrics: MetricRegistry) -> float | None:
    """Return the value of the gauge."""
    return metrics.get_sample_value("millstream_history_days_ahead")


async def test_days_are_made_and_shown(broker: Broker, history_url: str, metrics: MetricRegistry) -> None:
    """A pass makes the days ahead of today, as Redis knows it, and shows how many there are."""
    async with open_history(history_url) as history:
        duty = Partitioner(history, broker, HistoryMetrics(metrics), kept_days=90)
        first, second = await duty.run_once(), await duty.run_once()
    assert (first.made, second.made) == (DAYS_AHEAD + 2, 0)
    assert (first.next_in_s, first.more) == (None, False)
    assert days_ahead(metrics) == DAYS_AHEAD
    today = datetime.fromtimestamp(broker.clock.now_s(), UTC)
    assert (f"jobs_{today + DAYS_AHEAD * DAY:%Y%m%d}",) in await query(history_url, PARTS)


async def test_days_are_dropped_after_as_many_as_are_kept(
    broker: Broker, history_url: str, metrics: MetricRegistry
) -> None:
    """A day stays for as many days as the setting says, and goes with the next pass."""
    today = datetime.now(UTC).date()
    await execute(
        history_url, "; ".join(f"SELECT history_make_day('{today - number * DAY}')" for number in (9, 10, 11, 12))
    )
    async with open_history(history_url) as history:
        result = await Partitioner(history, broker, HistoryMetrics(metrics), kept_days=10).run_once()
        assert result.dropped == 2
        assert (await history.days.found())[0] == today - 10 * DAY


async def test_operations_are_kept_as_long_as_jobs(broker: Broker, history_url: str, metrics: MetricRegistry) -> None:
    """An operation is forgotten as many days after its end as jobs are kept; one that has not ended stays."""
    async with open_history(history_url) as history:
        asked = NewOperation(kind="discard", ids=["nonsense"])
        for name in ("old", "young", "open"):
            await history.operations.add(DEFAULT_TENANT, name, asked, None, 0)
        await execute(
            history_url,
            "UPDATE operations SET finished_at = now() - interval '11 days' WHERE id = 'old';"
            "UPDATE operations SET finished_at = now() - interval '9 days' WHERE id = 'young';"
            "UPDATE operations SET created_at = now() - interval '11 days'",
        )
        await Partitioner(history, broker, HistoryMetrics(metrics), kept_days=10).run_once()
    assert await query(history_url, "SELECT id FROM operations ORDER BY id") == [("open",), ("young",)]


async def test_the_duty_comes_back_soon_when_another_was_at_it(
    broker: Broker, history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that finds another dispatcher at the partitions looks again within a minute."""
    async with open_history(history_url) as history, open_history(history_url) as other:

        async def nothing(_: object) -> list[object]:
            return []

        monkeypatch.setattr(history.days, "make", nothing)
        duty = Partitioner(history, broker, HistoryMetrics(metrics), kept_days=10)
        assert (await duty.run_once()).next_in_s == AGAIN_S
        assert days_ahead(metrics) == -1
        await other.days.make(datetime.now(UTC).date())
        assert (await duty.run_once()).next_in_s is None


async def test_the_gauge_is_shown_also_when_a_day_cannot_be_made(
    broker: Broker, history_url: str, metrics: MetricRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that fails to make days shows how many there are, which is what the alert reads."""
    async with open_history(history_url) as history:

        async def refuse(_: object) -> list[object]:
            raise HistoryUnavailableError("its tables are in use")

        monkeypatch.setattr(history.days, "make", refuse)
        with pytest.raises(HistoryUnavailableError):
            await Partitioner(history, broker, HistoryMetrics(metrics), kept_days=10).run_once()
    assert days_ahead(metrics) == -1
