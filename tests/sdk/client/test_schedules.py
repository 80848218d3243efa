"""Both clients put, steer and read schedules over a real connection."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sdk.client.scripted_api import Connect, Reply, ScriptedApi

from millstream import Backfill, NewJob, Schedule
from millstream_contracts import BackfillPage, ScheduleOccasion, SchedulePage, ScheduleRun

AT = "2026-01-02T00:00:00Z"
SCHEDULE: dict[str, Any] = {
    "name": "nightly",
    "state": "active",
    "cron": "0 3 * * *",
    "version": 1,
    "created_at": AT,
    "updated_at": AT,
    "job": {"type": "shop.nightly"},
    "next": [AT],
}
BACKFILL: dict[str, Any] = {
    "id": "bf_1", "schedule": "nightly", "state": "running", "from": AT, "to": AT, "parallel": 1, "occasions": 3,
}  # fmt: skip
PREVIEW: dict[str, Any] = {"schedule": "nightly", "state": "active", "next": [{"nominal": AT, "fires_at": AT}]}
PATH = "/v1/schedules/nightly"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

CALLS = [
    ("schedules", (), {"state": "paused", "limit": 2}, ("GET", "/v1/schedules"), {"items": [SCHEDULE]}, SchedulePage),
    ("schedule", ("a/b",), {}, ("GET", "/v1/schedules/a%2Fb"), SCHEDULE, Schedule),
    ("remove_schedule", ("nightly",), {}, ("DELETE", PATH), SCHEDULE, Schedule),
    ("pause_schedule", ("nightly",), {}, ("POST", f"{PATH}/pause"), SCHEDULE, Schedule),
    ("resume_schedule", ("nightly",), {}, ("POST", f"{PATH}/resume"), SCHEDULE, Schedule),
    ("run_schedule", ("nightly",), {}, ("POST", f"{PATH}/run"), {"schedule": "nightly", "job": "a_1"}, ScheduleRun),
    ("start_backfill", ("nightly", START, END), {}, ("POST", f"{PATH}/backfill"), BACKFILL, Backfill),
    ("backfill", ("nightly", "bf_1"), {}, ("GET", f"{PATH}/backfills/bf_1"), BACKFILL, Backfill),
    ("cancel_backfill", ("nightly", "bf_1"), {}, ("POST", f"{PATH}/backfills/bf_1/cancel"), BACKFILL, Backfill),
]


@pytest.mark.parametrize(
    ("method", "arguments", "options", "request_line", "answer", "kind"), CALLS, ids=lambda one: str(one)[:20]
)
async def test_call_asks_for_one_thing(
    connect: Connect,
    api: ScriptedApi,
    method: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    request_line: tuple[str, str],
    answer: dict[str, Any],
    kind: type,
) -> None:
    """Each method is one request, and returns what it asked for."""
    api.script.append(Reply(200, answer))
    assert isinstance(await getattr(connect(), method)(*arguments, **options), kind)
    assert (api.received[-1].method, api.received[-1].path) == request_line


async def test_lists_are_returned_as_lists(connect: Connect, api: ScriptedApi) -> None:
    """Occasions and backfills come as lists."""
    api.script.append(Reply(200, {"items": [{"nominal": AT, "fires_at": AT}]}))
    assert isinstance((await connect().next_occasions("nightly", 3))[0], ScheduleOccasion)
    assert api.received[-1].query["n"] == ["3"]
    api.script.append(Reply(200, {"items": [BACKFILL]}))
    assert [one.id for one in await connect().backfills("nightly")] == ["bf_1"]
    assert BackfillPage


@pytest.mark.parametrize(
    ("when", "field"),
    [("0 3 * * *", {"cron": "0 3 * * *"}), (timedelta(minutes=1), {"every_s": 60.0}), (START, {"at": START})],
)
async def test_a_schedule_is_put_with_its_job(
    connect: Connect, api: ScriptedApi, when: Any, field: dict[str, Any]
) -> None:
    """An expression, an interval or a moment says when; times have units, and the job goes as it would be submitted."""
    api.script.append(Reply(201, SCHEDULE))
    job = NewJob("shop.nightly", {"a": 1}, priority="low")
    made = await connect().put_schedule("nightly", when, job, overlap="skip", jitter=timedelta(minutes=1))
    assert made.name == "nightly"
    assert (api.received[-1].method, api.received[-1].path) == ("PUT", PATH)
    body = dict(api.received[-1].body)
    if "at" in body:
        body["at"] = datetime.fromisoformat(str(body["at"]))
    assert body == {
        **field,
        "overlap": "skip",
        "jitter_s": 60.0,
        "job": {"type": "shop.nightly", "payload": {"a": 1}, "priority": "low"},
    }


async def test_a_preview_sends_what_would_be_put(connect: Connect, api: ScriptedApi) -> None:
    """A preview is asked for with the definition that `put_schedule` sends, and returns when it would fire."""
    api.script += [Reply(200, PREVIEW), Reply(201, SCHEDULE)]
    arguments: Any = ("nightly", "0 3 * * *", NewJob("shop.nightly", {"a": 1}))
    found = await connect().preview_schedule(*arguments, tz="Europe/Paris", paused=True)
    assert (api.received[-1].method, api.received[-1].path) == ("POST", f"{PATH}/preview")
    assert [one.fires_at.isoformat() for one in found.next] == ["2026-01-02T00:00:00+00:00"]
    await connect().put_schedule(*arguments, tz="Europe/Paris", paused=True)
    assert api.received[-2].body == api.received[-1].body


async def test_an_option_that_is_none_is_refused(connect: Connect, api: ScriptedApi) -> None:
    """An unknown option and a value that cannot be are refused before anything is sent."""
    with pytest.raises(TypeError, match="did you mean `jitter`"):
        await connect().put_schedule("nightly", "@daily", NewJob("a"), jiter=3)
    with pytest.raises(ValueError, match="overlap"):
        await connect().put_schedule("nightly", "@daily", NewJob("a"), overlap="no")
    assert api.received == []
