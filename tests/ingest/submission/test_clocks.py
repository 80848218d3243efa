"""An ingest whose machine is two hours ahead or behind uses the clock of Redis."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from ingest.serving import Ingest, running_ingest
from waiting import wait_until

from millstream_contracts import Queue, made_at_ms
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker

HOUR = timedelta(hours=1)
SOON = timedelta(minutes=10)
NEAR = timedelta(seconds=5)
"""More than a response takes on a busy machine, and far less than the two hours."""
Skew = Callable[[float], None]


@pytest.fixture(params=[-2, 2], ids=["behind", "ahead"])
def skew(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """Shift the clock of this machine from here on. Return by how much."""
    by = timedelta(hours=request.param)
    wall, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: wall() + by.total_seconds())
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + int(by.total_seconds()) * 10**9)
    return by


@pytest.fixture
async def wrong(skew: timedelta, broker: Broker, settings: IngestSettings) -> AsyncIterator[Ingest]:
    """Yield an ingest on a machine with a shifted clock."""
    async with running_ingest(settings) as running:
        yield running


async def redis_now(broker: Broker) -> datetime:
    """Return the time of Redis."""
    seconds, microseconds = await broker.client.time()
    return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)


async def submit(ingest: Ingest, **fields: object) -> tuple[int, dict]:
    """Submit a job. Return the status and the response."""
    answer = await ingest.http.post("/v1/jobs", json={"type": "email.send", **fields})
    return answer.status_code, answer.json()


@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
async def test_times_are_refused_and_taken_by_the_clock_of_redis(wrong: Ingest, broker: Broker, batch: bool) -> None:
    """Times of a submission are checked against the clock of Redis."""
    now = await redis_now(broker)

    async def problems(**fields: object) -> list[str]:
        job = {"type": "email.send", **fields}
        path, body = ("/v1/jobs/batch", {"jobs": [job]}) if batch else ("/v1/jobs", job)
        answer = (await wrong.http.post(path, json=body)).json()
        if batch:
            answer = answer["items"][0].get("problem", {})
        return [error["detail"] for error in answer.get("errors", [])]

    assert await problems(delay_s=600, expires_at=(now + HOUR).isoformat()) == []
    assert await problems(run_at=(now + SOON).isoformat(), expires_in_s=3600) == []
    late = ["the job would expire before it may run"]
    assert await problems(delay_s=3600, expires_at=(now + SOON).isoformat()) == late
    assert await problems(run_at=(now + HOUR).isoformat(), expires_in_s=600) == late
    ten_years = timedelta(days=3660)
    assert await problems(run_at=(now + ten_years - SOON).isoformat()) == []
    assert await problems(run_at=(now + ten_years + SOON).isoformat()) == ["is more than ten years away"]


async def test_a_job_is_created_when_redis_says_so(wrong: Ingest, broker: Broker, queue: Queue) -> None:
    """The creation time is that of Redis in the response, in the stored job, and in its id."""
    earliest = await redis_now(broker)
    status, answer = await submit(wrong)
    latest = await redis_now(broker)
    stored = (await wrong.http.get(f"/v1/jobs/{answer['id']}")).json()
    made_at = datetime.fromtimestamp(made_at_ms(answer["id"]) / 1000, UTC)
    assert status == 202
    assert answer["created_at"] == stored["created_at"]
    for moment in (datetime.fromisoformat(answer["created_at"]), made_at):
        assert earliest - NEAR <= moment <= latest + NEAR


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"delay_s": 600}, {"run_at": SOON}),
        ({"expires_in_s": 3600}, {"expires_at": HOUR}),
        ({"delay_s": 600, "expires_in_s": 3600}, {"run_at": SOON, "expires_at": HOUR}),
        ({"run_at": SOON, "expires_in_s": 3600}, {"run_at": SOON, "expires_at": HOUR}),
        ({"run_at": -SOON, "expires_at": HOUR}, {"expires_at": HOUR}),
    ],
)
async def test_what_the_answer_says_of_times_is_what_redis_has_decided(
    wrong: Ingest, broker: Broker, fields: dict, shown: dict[str, timedelta]
) -> None:
    """The response, which is made without a read, shows the times that a later read shows."""
    now = await redis_now(broker)
    given = {name: (now + at).isoformat() if isinstance(at, timedelta) else at for name, at in fields.items()}
    status, answer = await submit(wrong, **given)
    stored = (await wrong.http.get(f"/v1/jobs/{answer['id']}")).json()
    assert status == 202
    assert {name for name in ("run_at", "expires_at") if answer.get(name)} == shown.keys()
    for name, at in shown.items():
        assert abs(datetime.fromisoformat(stored[name]) - now - at) < NEAR
        assert abs(datetime.fromisoformat(answer[name]) - datetime.fromisoformat(stored[name])) < NEAR


async def test_a_job_whose_time_has_come_runs_at_once(wrong: Ingest, broker: Broker) -> None:
    """A job is ready or scheduled by the clock of Redis."""
    now = await redis_now(broker)
    _, due = await submit(wrong, run_at=(now - SOON).isoformat())
    _, early = await submit(wrong, run_at=(now + SOON).isoformat())
    assert (due["state"], early["state"]) == ("queued", "scheduled")


async def test_a_key_is_remembered_for_a_day_by_the_clock_of_redis(wrong: Ingest, broker: Broker) -> None:
    """An idempotency key lives for a day by the clock of Redis."""
    headers = {"Idempotency-Key": "k"}
    body = {"type": "email.send"}
    first = await wrong.http.post("/v1/jobs", json=body, headers=headers)
    again = await wrong.http.post("/v1/jobs", json=body, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    [key] = [key async for key in broker.client.scan_iter(match=f"{broker.keys.namespace}:*:idempotency:*")]
    assert 0 < await broker.client.pttl(key) <= 86_400_000


async def test_a_clock_of_redis_that_moves_is_followed(ingest: Ingest, broker: Broker) -> None:
    """A change of the clock of Redis, as in a failover, is followed without a restart."""
    clock = ingest.services.broker.clock
    clock._offset_s += 7_200

    async def is_right() -> bool:
        return abs(clock.now_s() - (await redis_now(broker)).timestamp()) < 1

    await wait_until(is_right, "the clock is that of Redis again")
