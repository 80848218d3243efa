"""`schedules` and its commands make, show and steer schedules."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi

from millstream_cli.exit_codes import ExitCode

MOMENT = "2026-03-27T03:04:05Z"


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def schedule(**fields: object) -> dict[str, object]:
    """Return a schedule as the API shows it."""
    rules = {"cron": "30 2 * * *", "tz": "Europe/Paris"}
    times = {"created_at": MOMENT, "updated_at": MOMENT}
    return {
        "name": "nightly",
        "state": "active",
        "version": 1,
        "job": {"type": "shop.close"},
        **rules,
        **times,
        **fields,
    }


def test_a_schedule_is_put_as_its_options_say(api: ScriptedApi) -> None:
    """Options that are given are sent under the names of the API, and the others are left to the service."""
    api.script.append(Reply(201, schedule()))
    words = (
        "--cron",
        "30 2 * * *",
        "--tz",
        "Europe/Paris",
        "--overlap",
        "skip",
        "--jitter",
        "5m",
        "--priority",
        "low",
        "--key",
        "acme",
        "--unique",
        "close",
        "--on-conflict",
        "reject",
    )
    result = run("schedules", "put", "nightly", "shop.close", '{"day": 1}', *words, "--url", api.url)
    assert result.exit_code == 0, result.output
    sent = msgspec.msgpack.decode(api.received[-1].content)
    unique = {"key": "close", "on_conflict": "reject"}
    assert sent["job"].pop("unique").items() >= unique.items()
    assert sent["job"] == {"type": "shop.close", "payload": {"day": 1}, "priority": "low", "key": "acme"}
    assert {name: sent[name] for name in ("cron", "tz", "overlap", "jitter_s")} == {
        "cron": "30 2 * * *",
        "tz": "Europe/Paris",
        "overlap": "skip",
        "jitter_s": 300.0,
    }
    assert "missed" not in sent


def test_a_dry_run_of_a_schedule_shows_when_it_would_be_due(api: ScriptedApi) -> None:
    """`--dry-run` sends the definition to be checked, and says what it would replace and where the clock is changed."""
    occasions = [{"nominal": at, "fires_at": at} for at in ("2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z")]
    api.script.append(Reply(200, {"schedule": "nightly", "version": 3, "state": "paused", "next": occasions}))
    words = ("--cron", "30 2 * * *", "--tz", "Europe/Paris", "--dry-run")
    result = run("schedules", "put", "nightly", "shop.close", *words, "--url", api.url)
    assert result.exit_code == 0, result.output
    assert (api.received[-1].method, api.received[-1].path) == ("POST", "/v1/schedules/nightly/preview")
    told, *_, before, moved = result.output.splitlines()
    assert told == "nightly: paused; it would replace version 3; nothing was put"
    assert "Sat 2026-03-28 02:30:00" in before
    assert "the clock skips its time" in moved


def test_a_moment_without_a_zone_is_of_utc(api: ScriptedApi) -> None:
    """`--at` takes ISO 8601, with a zone or without one."""
    api.script.append(Reply(201, schedule(cron=None, at="2026-12-24T18:00:00Z")))
    result = run("schedules", "put", "once", "shop.close", "--at", "2026-12-24T18:00", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert msgspec.msgpack.decode(api.received[-1].content)["at"] == datetime(2026, 12, 24, 18, tzinfo=UTC)


@pytest.mark.parametrize("words", [(), ("--cron", "@daily", "--every", "5m"), ("--at", "soon"), ("--every", "often")])
def test_what_is_no_time_is_refused_before_anything_is_sent(api: ScriptedApi, words: tuple[str, ...]) -> None:
    """A schedule has exactly one of an expression, an interval and a moment, each as it is written."""
    result = run("schedules", "put", "nightly", "shop.close", *words, "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert api.received == []


def test_a_number_of_zero_is_refused_by_its_name(api: ScriptedApi) -> None:
    """An option of 0 is not taken for one that is missing: it is refused with its name before anything is sent."""
    words = ("--every", "5m", "--missed", "all", "--max-missed", "0")
    result = run("schedules", "put", "nightly", "shop.close", *words, "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "max_missed" in result.output
    assert api.received == []


def test_a_schedule_is_shown_in_words_and_by_its_clock(api: ScriptedApi) -> None:
    """A report says when a schedule is due for people, and its next times in its zone and in UTC."""
    last = {"nominal": MOMENT, "job": "shop.close_1", "state": "succeeded"}
    found = schedule(next=["2026-03-28T01:30:00Z"], last=last, state="orphan", reason="no worker declares it any more")
    api.script.append(Reply(200, found))
    result = run("schedules", "show", "nightly", "--url", api.url)
    assert "Every day at 02:30, Paris time (30 2 * * *)" in result.output
    assert "Sat 2026-03-28 02:30:00 Europe/Paris (2026-03-28 01:30:00 UTC)" in result.output
    assert "orphan (no worker declares it any more)" in result.output
    assert "shop.close_1 succeeded" in result.output


def test_next_says_where_the_clock_is_changed(api: ScriptedApi) -> None:
    """Of an occasion that a change of the clock moves it is said beforehand."""
    occasions = [{"nominal": at, "fires_at": at} for at in ("2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z")]
    api.script += [Reply(200, schedule()), Reply(200, {"items": occasions})]
    result = run("schedules", "next", "nightly", "--url", api.url)
    before, moved = result.output.splitlines()[-2:]
    assert "clock" not in before
    assert "Sun 2026-03-29 03:00:00" in moved
    assert "the clock skips its time" in moved


def test_a_dry_run_of_a_backfill_names_what_it_would_start(api: ScriptedApi) -> None:
    """Without starting anything, the number of the occasions and the first ones are told."""
    answer = {
        "schedule": "nightly", "state": "planned", "from": "2026-03-01T00:00:00Z", "to": "2026-03-08T00:00:00Z",
        "parallel": 2, "occasions": 7, "first": ["2026-03-01T01:30:00Z"],
    }  # fmt: skip
    api.script.append(Reply(200, answer))
    words = ("--from", "2026-03-01", "--to", "2026-03-08", "--parallel", "2", "--dry-run")
    result = run("schedules", "backfill", "nightly", *words, "--url", api.url)
    sent = msgspec.msgpack.decode(api.received[-1].content)
    days = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)
    expected = {"from": days[0], "to": days[1], "parallel": 2, "dry_run": True}
    assert {name: sent[name] for name in expected} == expected
    assert "7 occasions of nightly; nothing was started" in result.output
    assert "and 6 more" in result.output


def test_run_prints_the_id_of_the_job(api: ScriptedApi) -> None:
    """A script can go on with the job that a schedule was made to start."""
    api.script.append(Reply(202, {"schedule": "nightly", "job": "shop.close_1"}))
    assert run("schedules", "run", "nightly", "--url", api.url).output.strip() == "shop.close_1"


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_steering_shows_the_schedule(api: ScriptedApi, verb: str) -> None:
    """After a pause or a resumption the schedule is shown as it is."""
    api.script.append(Reply(200, schedule(state="paused", reason="over the API")))
    result = run("schedules", verb, "nightly", "--url", api.url)
    assert api.received[-1].path == f"/v1/schedules/nightly/{verb}"
    assert "paused (over the API)" in result.output
