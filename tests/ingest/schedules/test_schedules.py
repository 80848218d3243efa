"""Schedules over HTTP: what is put is shown, and what breaks a rule is refused by its field."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from ingest.serving import MSGPACK, Ingest

from millstream import App
from millstream.handlers import HandlerSettings, builtin_app
from millstream_cli.demo import jobs as demo
from millstream_contracts import DEFAULT_TENANT, TypeRegistration, ms_of
from millstream_ingest.api.routes import schedule_examples as examples
from millstream_streams import Broker, IndexLine, ScheduleChange, backfill_name

NIGHTLY = {"cron": "0 3 * * *", "tz": "Europe/Paris", "job": {"type": "email.send", "payload": {"to": "a@b"}}}
PATH = "/v1/schedules/nightly"


async def put(ingest: Ingest, path: str = PATH, **fields: Any) -> dict[str, Any]:
    """Put a schedule, which must be accepted; return it."""
    response = await ingest.http.put(path, json={**NIGHTLY, **fields})
    assert response.status_code in {200, 201}, response.text
    return response.json()


async def act(ingest: Ingest, verb: str, path: str = PATH, status: int = 200, **options: Any) -> dict[str, Any]:
    """Post to a path of a schedule; return the answer."""
    response = await ingest.http.post(f"{path}/{verb}", **options)
    assert response.status_code == status, response.text
    return response.json()


async def test_what_is_put_is_shown(ingest: Ingest) -> None:
    """A schedule that is put is new, has its path and its version, and is shown with its job and its next times."""
    response = await ingest.http.put(PATH, json={**NIGHTLY, "description": "Takes stock"})
    assert (response.status_code, response.headers["location"], response.headers["etag"]) == (201, PATH, '"1"')
    found = await ingest.get(PATH)
    assert found == response.json()
    assert (found["state"], found["owner"], found["version"], found["description"]) == (
        "active",
        "api",
        1,
        "Takes stock",
    )
    assert found["job"] == NIGHTLY["job"]
    assert len(found["next"]) == 5
    assert datetime.fromisoformat(found["next"][0]) > datetime.now(UTC)
    assert (found["last"], found["counts"]["fired"]) == (None, 0)


async def test_to_put_the_same_again_changes_nothing(ingest: Ingest) -> None:
    """The same definition leaves version and time as they are; another one makes a new version."""
    first = await put(ingest)
    assert await put(ingest) == first
    second = await put(ingest, overlap="skip")
    assert (second["version"], second["overlap"]) == (2, "skip")


async def test_a_default_that_is_spelled_out_changes_nothing(ingest: Ingest) -> None:
    """Rules are the same whether a default stands there or not, so that an occasion that is due is not lost for it."""
    first = await put(ingest)
    assert await put(ingest, missed="latest", late_s=60, catch_up_s=86_400, max_missed=100, overlap="allow") == first


async def test_msgpack_is_taken_too(ingest: Ingest) -> None:
    """A schedule may be put as MessagePack, its payload included."""
    body = msgspec.msgpack.encode(NIGHTLY)
    response = await ingest.http.put(PATH, content=body, headers={"content-type": MSGPACK})
    assert response.status_code == 201
    assert (await ingest.get(PATH))["job"] == NIGHTLY["job"]


async def test_a_due_occasion_survives_an_edit_of_the_job(ingest: Ingest, broker: Broker) -> None:
    """With the same rules the next occasion stays, so that one that is due and not fired yet is not lost."""
    await put(ingest, every_s=60, cron=None, tz="UTC")
    key = broker.keys.of_schedules(broker.schedules.shard_of(DEFAULT_TENANT, "nightly")).schedule("nightly")
    await broker.client.hset(key, mapping={"next_ms": "60000", "fires_ms": "60000"})
    await put(ingest, every_s=60, cron=None, tz="UTC", job={"type": "other"})
    assert (await broker.schedules.read(DEFAULT_TENANT, ["nightly"]))["nightly"].next_ms == 60_000
    await put(ingest, every_s=120, cron=None, tz="UTC", job={"type": "other"})
    assert (await broker.schedules.read(DEFAULT_TENANT, ["nightly"]))["nightly"].next_ms > 60_000


async def let_wait(broker: Broker) -> None:
    """Have an occasion of the schedule wait for the end of the last job, and count one that was skipped."""
    held = (await broker.schedules.read(DEFAULT_TENANT, ["nightly"]))["nightly"]
    fields = {"waiting_ms": "60000", "skipped": "1", "last_ms": "60000"}
    line = IndexLine(held.state, held.owner, held.type).text()
    change = ScheduleChange(name="nightly", turn=held.turn, tick_ms=held.fires_ms, line=line, fields=fields)
    assert await broker.schedules.change(DEFAULT_TENANT, [change]) == [True]


async def tick_of(broker: Broker) -> float | None:
    """Return when dispatchers look at the schedule; None for never."""
    keys = broker.keys.of_schedules(broker.schedules.shard_of(DEFAULT_TENANT, "nightly"))
    return await broker.client.zscore(keys.ticks, "nightly")  # type: ignore[no-any-return]


@pytest.mark.parametrize("fields", [{"description": "anew"}, {"overlap": "skip"}, {"cron": "0 4 * * *"}])
async def test_an_occasion_that_waits_is_not_put_off_by_an_edit(
    ingest: Ingest, broker: Broker, fields: dict[str, Any]
) -> None:
    """A schedule of which an occasion waits is looked at at once after an edit, and not at its next occasion."""
    await put(ingest, overlap="queue")
    await let_wait(broker)
    assert (await put(ingest, **{"overlap": "queue", **fields}))["waiting"] == "1970-01-01T00:01:00Z"
    assert await tick_of(broker) == 0


async def test_a_pause_skips_the_occasion_that_waits(ingest: Ingest, broker: Broker) -> None:
    """A paused schedule has no occasion that waits and none that is looked at; what waited counts as skipped."""
    await put(ingest, overlap="queue")
    await let_wait(broker)
    paused = await act(ingest, "pause")
    assert (paused.get("waiting"), paused["counts"]["skipped"]) == (None, 2)
    assert datetime.fromisoformat(paused["paused_at"]) <= datetime.now(UTC)
    assert await tick_of(broker) is None


async def test_a_schedule_is_looked_at_when_its_next_occasion_fires(ingest: Ingest, broker: Broker) -> None:
    """Dispatchers look at a schedule that was put or resumed when its next occasion fires, and not before."""
    for verb in ("", "pause", "resume"):
        shown = await act(ingest, verb) if verb else await put(ingest, jitter_s=3600)
        tick = await tick_of(broker)
        assert tick == (ms_of(datetime.fromisoformat(shown["next"][0])) if shown["next"] else None)


async def test_a_preview_says_what_would_be_put_and_stores_nothing(ingest: Ingest) -> None:
    """A preview has the state, the version that it would replace and the next occasions, as putting it then shows."""
    seen = await act(ingest, "preview?n=5", json={**NIGHTLY, "jitter_s": 600})
    assert (seen["schedule"], seen["version"], seen["state"]) == ("nightly", None, "active")
    assert (await ingest.http.get(PATH)).status_code == 404
    made = await put(ingest, jitter_s=600)
    assert [one["fires_at"] for one in seen["next"]] == made["next"]
    assert seen["next"][0]["nominal"] < seen["next"][0]["fires_at"]
    assert (await act(ingest, "preview", json={**NIGHTLY, "cron": "0 4 * * *"}))["version"] == 1
    assert await ingest.get(PATH) == made


async def test_a_preview_of_a_paused_schedule_says_what_it_would_do(ingest: Ingest) -> None:
    """What stays paused, or is to be paused, is shown as if it was resumed now."""
    await put(ingest, paused=True)
    for fields in ({}, {"paused": True}):
        seen = await act(ingest, "preview?n=3", json={**NIGHTLY, **fields})
        assert (seen["state"], len(seen["next"])) == ("paused", 3)
    assert (await act(ingest, "preview", json={**NIGHTLY, "paused": False}))["state"] == "active"


async def test_a_preview_keeps_an_occasion_that_is_due(ingest: Ingest, broker: Broker) -> None:
    """With the same rules the next occasion is the one that the schedule has, also when it is due already."""
    rules = {"every_s": 60, "cron": None, "tz": "UTC"}
    await put(ingest, **rules)
    key = broker.keys.of_schedules(broker.schedules.shard_of(DEFAULT_TENANT, "nightly")).schedule("nightly")
    await broker.client.hset(key, mapping={"next_ms": "60000", "fires_ms": "60000"})
    seen = await act(ingest, "preview", json={**NIGHTLY, **rules, "job": {"type": "other"}})
    assert seen["next"][0]["nominal"] == "1970-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"cron": None}, "/cron"),
        ({"every_s": 5}, "/every_s"),
        ({"cron": "every day"}, "/cron"),
        ({"cron": "0 0 31 2 *"}, "/cron"),
        ({"tz": "Europe/Pariss"}, "/tz"),
        ({"missed": "last"}, "/missed"),
        ({"overlap": "no"}, "/overlap"),
        ({"jitter_s": -1}, "/jitter_s"),
        ({"cron": None, "tz": "UTC", "at": "2020-01-01T00:00:00Z"}, "/at"),
        ({"cron": None, "tz": "UTC", "at": "9999-12-31T23:59:59Z", "jitter_s": 3600}, "/at"),
        ({"cron": None, "tz": "UTC", "every_s": 60, "anchor": "0001-01-01T00:00:00+12:00"}, "/anchor"),
        ({"job": {"type": "email.send", "delay_s": 5}}, "/job/delay_s"),
        ({"job": {"type": "email.send", "after": ["email.send_1"]}}, "/job/after"),
        ({"job": {"type": "a b"}}, "/job/type"),
        ({"job": {"type": "a", "tags": {"schedule": "x"}}}, "/job/tags/schedule"),
        ({"job": {"type": "a", "tags": {str(n): "" for n in range(15)}}}, "/job/tags"),
        ({"when": "always"}, "/when"),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_its_field(ingest: Ingest, fields: dict[str, Any], pointer: str) -> None:
    """A definition that cannot be kept is refused with the field at fault, and nothing is stored."""
    response = await ingest.http.put(PATH, json={**NIGHTLY, **fields})
    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert (await ingest.http.get(PATH)).status_code == 404
    assert (await act(ingest, "preview", status=422, json={**NIGHTLY, **fields}))["errors"] == response.json()["errors"]


async def test_the_job_is_checked_like_a_submission(ingest: Ingest, registered: TypeRegistration) -> None:
    """The payload has to fit the schema of its type, and the type has to be known."""
    response = await ingest.http.put(PATH, json={**NIGHTLY, "job": {"type": "email.send", "payload": {"copies": -1}}})
    assert {error["pointer"] for error in response.json()["errors"]} == {"/job/payload/to", "/job/payload/copies"}
    response = await ingest.http.put(PATH, json={**NIGHTLY, "job": {"type": "email.sent"}})
    assert response.json()["errors"][0]["pointer"] == "/job/type"


@pytest.mark.parametrize("name", ["a b", ".a", "a" * 129, "a{b"])
async def test_a_name_is_a_word(ingest: Ingest, name: str) -> None:
    """The name of a schedule has no braces, spaces or more than 128 characters."""
    response = await ingest.http.put(f"/v1/schedules/{name}", json=NIGHTLY)
    assert response.status_code == 422, response.text
    assert (await ingest.http.get(f"/v1/schedules/{name}")).status_code == 404


async def test_a_list_has_pages_and_filters(ingest: Ingest) -> None:
    """Schedules are listed by name, page by page, and by state, owner, type and the beginning of their names."""
    for name in ("b", "a", "c"):
        await put(ingest, f"/v1/schedules/{name}", job={"type": f"of.{name}"})
    await act(ingest, "pause", "/v1/schedules/c")
    page = await ingest.get("/v1/schedules", limit=2)
    assert [one["name"] for one in page["items"]] == ["a", "b"]
    rest = await ingest.get("/v1/schedules", limit=2, cursor=page["next_cursor"])
    assert ([one["name"] for one in rest["items"]], rest["next_cursor"]) == (["c"], None)

    async def names(**filters: str) -> list[str]:
        return [one["name"] for one in (await ingest.get("/v1/schedules", **filters))["items"]]

    assert await names(state="paused") == ["c"]
    assert await names(owner="code") == []
    assert await names(type="of.b") == ["b"]
    assert await names(name="a") == ["a"]
    assert (await ingest.http.get("/v1/schedules?state=none")).status_code == 400


async def test_a_pause_holds_until_it_is_resumed(ingest: Ingest) -> None:
    """A paused schedule stays paused when it is put again, and goes on from now when it is resumed."""
    await put(ingest)
    paused = await act(ingest, "pause")
    assert (paused["state"], paused["next"], paused["reason"]) == ("paused", [], "over the API")
    assert await act(ingest, "pause") == paused
    assert (await put(ingest, jitter_s=5))["state"] == "paused"
    resumed = await act(ingest, "resume")
    assert (resumed["state"], len(resumed["next"]), resumed["reason"]) == ("active", 5, None)
    assert (await put(ingest, paused=True))["state"] == "paused"
    assert (await put(ingest, paused=False))["state"] == "active"


async def test_a_removed_schedule_is_gone(ingest: Ingest) -> None:
    """A removed schedule is returned as it was, and is not found any more."""
    await put(ingest)
    response = await ingest.http.delete(PATH)
    assert (response.status_code, response.json()["name"]) == (200, "nightly")
    for answer in (await ingest.http.get(PATH), await ingest.http.delete(PATH), await ingest.http.post(f"{PATH}/run")):
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/schedule-not-found")


async def test_next_names_the_occasions_to_come(ingest: Ingest) -> None:
    """`next` names as many occasions as asked for, with their nominal times and when they fire."""
    await put(ingest, jitter_s=600)
    items = (await ingest.get(f"{PATH}/next", n=3))["items"]
    nominal, fires = (datetime.fromisoformat(items[0][one]) for one in ("nominal", "fires_at"))
    assert len(items) == 3
    assert timedelta() <= fires - nominal <= timedelta(seconds=600)
    assert (await ingest.http.get(f"{PATH}/next?n=0")).status_code == 400


async def test_run_submits_the_job_once_for_a_key(ingest: Ingest) -> None:
    """`run` submits the job now, also while the schedule is paused; the same key makes no second one."""
    await put(ingest)
    await act(ingest, "pause")
    made = await act(ingest, "run", status=202, headers={"Idempotency-Key": "k"})
    again = await ingest.http.post(f"{PATH}/run", headers={"Idempotency-Key": "k"})
    assert (again.json(), again.headers["idempotency-replayed"]) == (made, "true")
    job = await ingest.get(f"/v1/jobs/{made['job']}")
    assert (job["payload"], job["tags"]) == ({"to": "a@b"}, {"schedule": "nightly"})
    assert (job["schedule"], job["scheduled_for"]) == ("nightly", None)


WEEK = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-08T00:00:00Z"}


async def test_a_dry_run_of_a_backfill_counts(ingest: Ingest) -> None:
    """A dry run counts the occasions of the range, names the first ones, and stores nothing."""
    await put(ingest)
    found = await act(ingest, "backfill", json={**WEEK, "dry_run": True})
    assert (found["state"], found["occasions"], len(found["first"]), found["id"]) == ("planned", 7, 7, None)
    assert found["first"][0] == "2026-11-01T02:00:00Z"
    assert (await ingest.get(f"{PATH}/backfills"))["items"] == []


async def test_a_backfill_is_followed_and_ended(ingest: Ingest) -> None:
    """A backfill is made once for a key, can be read and listed, and ends when it is cancelled."""
    await put(ingest)
    headers = {"Idempotency-Key": "k"}
    made = await act(ingest, "backfill", status=202, json={**WEEK, "parallel": 2}, headers=headers)
    assert await act(ingest, "backfill", status=202, json={**WEEK, "parallel": 2}, headers=headers) == made
    assert (await ingest.get(f"{PATH}/backfills"))["items"] == [made]
    assert await ingest.get(f"{PATH}/backfills/{made['id']}") == made
    assert [one["name"] for one in (await ingest.get("/v1/schedules"))["items"]] == ["nightly"]
    ended = await act(ingest, f"backfills/{made['id']}/cancel")
    assert ended["state"] == "cancelled"
    assert (await ingest.http.post(f"{PATH}/backfills/{made['id']}/cancel")).status_code == 409
    assert (await ingest.http.get(f"{PATH}/backfills/none")).status_code == 404


async def test_the_range_of_a_backfill_is_stored_with_its_last_occasion(ingest: Ingest, broker: Broker) -> None:
    """An occasion that a range includes by less than a millisecond is among those that dispatchers start."""
    await put(ingest, every_s=3600, cron=None, tz="UTC")
    last = datetime(2026, 11, 1, 5, tzinfo=UTC)
    end = (last + timedelta(microseconds=100)).isoformat()
    made = await act(ingest, "backfill", status=202, json={**WEEK, "to": end})
    name = backfill_name("nightly", made["id"])
    stored = (await broker.schedules.read(DEFAULT_TENANT, [name]))[name]
    assert (made["occasions"], stored.occasions) == (6, 6)
    assert ms_of(last) < stored.to_ms <= ms_of(last) + 1
    assert (stored.from_ms, stored.next_ms) == (ms_of(datetime.fromisoformat(WEEK["from"])),) * 2


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"from": WEEK["to"]}, "/to"),
        ({"to": "2026-11-01T00:00:01Z"}, "/from"),
        ({"from": "1990-01-01T00:00:00Z"}, "/to"),
        ({"from": "0001-01-01T00:00:00+12:00"}, "/from"),
        ({"to": "9999-12-31T23:59:59-12:00"}, "/to"),
        ({"parallel": 0}, "/parallel"),
    ],
)
async def test_a_backfill_that_makes_no_sense_is_refused(ingest: Ingest, fields: dict[str, Any], pointer: str) -> None:
    """A range without an occasion, with too many, or that ends before it begins is refused by its field."""
    await put(ingest)
    response = await ingest.http.post(f"{PATH}/backfill", json={**WEEK, **fields})
    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_the_examples_of_the_document_work(ingest: Ingest, broker: Broker) -> None:
    """Each definition and each range in the document is taken as it stands there, by the system as it comes."""
    apps: list[App[Any]] = [builtin_app(HandlerSettings()), demo.app]
    registrations = [handler.registration() for app in apps for handler in app]
    await broker.registry.add_types(DEFAULT_TENANT, registrations)
    for one in examples.DEFINITIONS.values():
        assert (await ingest.http.put(PATH, json=one.value)).status_code in {200, 201}
    for one in examples.BACKFILL_REQUESTS.values():
        await act(ingest, "backfill", json=one.value)
