"""`GET /v1/stats` counts what came and ended in each step of a time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from history_seeds import events_of, store_at
from ingest.inspection.test_past_jobs import QUEUE, SUCCESS, past_job
from ingest.serving import Ingest, problem, remembering_ingest
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, new_job_id
from millstream_ingest.http.errors import IngestError
from millstream_ingest.inspection.stats_window import CHART, SPARKLINES, window_of
from millstream_streams import Broker

NOW = datetime(2026, 11, 26, 12, 34, 56, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def past(settings, history_url: str, broker: Broker) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history."""
    async with remembering_ingest(settings, history_url) as running:
        yield running


async def test_points_cover_the_time_that_was_asked_for(past: Ingest, history_url: str) -> None:
    """The response has a point for each step, with the counts of the tenant's jobs."""
    job = past_job()
    at_ms = round((datetime.now(UTC) - 10 * MINUTE).timestamp() * 1000)
    await store_at(history_url, QUEUE, job, events_of(job, SUCCESS, at_ms=at_ms))
    found = await past.get("/v1/stats", type=QUEUE.type, step="5m", **{"from": "30m"})
    assert found["step_s"] == 300
    assert len(found["points"]) in {6, 7}
    assert sum(point["submitted"] for point in found["points"]) == 1
    assert sum(point["succeeded"] for point in found["points"]) == 1
    assert (await past.get("/v1/stats", type="sms.send"))["points"][0]["submitted"] == 0


async def test_each_type_has_its_totals_and_a_number_for_each_step(past: Ingest, history_url: str) -> None:
    """The response has the totals of each type, the busiest first, and says when there are more than were asked for."""
    at_ms = round((datetime.now(UTC) - 10 * MINUTE).timestamp() * 1000)
    other = Queue(DEFAULT_TENANT, JobType("sms.send"))
    for queue in (QUEUE, other, QUEUE):
        job = replace(past_job(), id=new_job_id(queue), type=queue.type)
        await store_at(history_url, queue, job, events_of(job, SUCCESS, at_ms=at_ms))
    found = await past.get("/v1/stats/types", step="5m", **{"from": "30m"})
    assert [(one["type"], one["submitted"], one["succeeded"]) for one in found["items"]] == [
        (QUEUE.type, 2, 2),
        (other.type, 1, 1),
    ]
    assert found["complete"]
    steps = [sum(one["ended_by_step"]) for one in found["items"]]
    assert steps == [2, 1]
    assert {len(one["ended_by_step"]) for one in found["items"]} <= {6, 7}
    first = await past.get("/v1/stats/types", limit=1)
    assert ([one["type"] for one in first["items"]], first["complete"]) == ([QUEUE.type], False)


async def test_without_a_history_there_are_no_statistics(ingest: Ingest) -> None:
    """Without a database the response says what is missing."""
    for path in ("/v1/stats", "/v1/stats/types"):
        problem(await ingest.http.get(path), 422, "no-history")


async def test_a_parameter_that_cannot_be_read_is_named(past: Ingest) -> None:
    """A wrong parameter is refused by its name."""
    for name, value in (("from", "soon"), ("step", "7"), ("type", "A"), ("until", "now")):
        document = problem(await past.http.get("/v1/stats", params={name: value}), 400, "bad-request")
        assert document["errors"][0]["pointer"] == f"?{name}"


@pytest.mark.parametrize(
    ("asked", "begin", "end", "step"),
    [
        ({}, NOW - HOUR, NOW, MINUTE),
        ({"from": "2h", "step": "60"}, NOW - 2 * HOUR, NOW, MINUTE),
        ({"from": "10d", "to": "9d"}, NOW - 10 * DAY, NOW - 9 * DAY, 15 * MINUTE),
        (
            {"from": "2026-11-26T10:00:00Z", "to": "2026-11-26T13:00:00+01:00"},
            NOW.replace(hour=10, minute=0, second=0),
            NOW.replace(hour=12, minute=0, second=0),
            MINUTE,
        ),
        ({"from": "20d", "to": "19d"}, NOW - 20 * DAY, NOW - 19 * DAY, HOUR),
        ({"from": "399d"}, NOW - 399 * DAY, NOW, 7 * DAY),
    ],
    ids=str,
)
def test_a_window_has_whole_steps_that_hold_what_was_asked_for(
    asked: dict[str, str], begin: datetime, end: datetime, step: timedelta
) -> None:
    """The window begins and ends with a step, holds the whole time, and has as many points as fit a chart."""
    found = window_of(asked, NOW)
    assert found.step == step
    assert found.begin <= begin < found.begin + step
    assert found.end - step < end <= found.end
    assert (found.end - found.begin) / step <= CHART.points + 1
    assert found.begin.timestamp() % 60 == 0


def test_sparklines_of_a_long_time_are_hourly() -> None:
    """A request for all types that names no step reads minutes of a short time, and hours of a longer one."""
    assert window_of({"from": "1h"}, NOW, SPARKLINES).step == MINUTE
    assert window_of({"from": "4h"}, NOW, SPARKLINES).step == HOUR


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"from": "2026-11-26T10:00:00"}, "from"),
        ({"from": "1h", "to": "2h"}, "from"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"from": "999999999d"}, "from"),
        ({"from": "401d"}, "from"),
        ({"from": ""}, "from"),
        ({"to": "tomorrow"}, "to"),
        ({"to": "9999-12-31T23:59:59Z"}, "to"),
        ({"step": "0"}, "step"),
        ({"step": "90s"}, "step"),
        ({"step": "999999999d"}, "step"),
        ({"step": "9999999999"}, "step"),
        ({"from": "10d", "step": "1m"}, "step"),
        ({"from": "20d", "step": "30m"}, "step"),
        ({"from": "20d", "step": "90m"}, "step"),
    ],
    ids=str,
)
def test_a_window_that_cannot_be_shown_is_refused(asked: dict[str, str], name: str) -> None:
    """A time or a step that cannot be read, or gives more points than its size allows, is refused by its name."""
    with pytest.raises(IngestError) as caught:
        window_of(asked, NOW)
    assert caught.value.errors[0].pointer == f"?{name}"
