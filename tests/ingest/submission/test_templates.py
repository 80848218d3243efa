"""Templates over HTTP: a submission that names one says only what differs, and keeps every rule of a submission."""

from typing import Any

import msgspec
import pytest
from ingest.serving import MSGPACK, Ingest

from millstream_contracts import DEFAULT_TENANT, limits
from millstream_ingest.api.routes import templates
from millstream_streams import Broker

REPORT = {
    "type": "report.generate",
    "priority": "low",
    "max_attempts": 2,
    "tags": {"from": "template"},
    "payload": {"format": "pdf", "rows": [1], "at": "2026-11-27"},
}
PATH = "/v1/templates/nightly-report"


async def put(ingest: Ingest, path: str = PATH, **fields: Any) -> dict[str, Any]:
    """Put a template, which must be accepted; return it."""
    response = await ingest.http.put(path, json={**REPORT, **fields})
    assert response.status_code in {200, 201}, response.text
    return response.json()


async def submit(ingest: Ingest, status: int = 202, **fields: Any) -> dict[str, Any]:
    """Submit a job of the template; return the answer."""
    response = await ingest.http.post("/v1/jobs", json={"template": "nightly-report", **fields})
    assert response.status_code == status, response.text
    return response.json()


def pointers(problem: dict[str, Any]) -> list[str]:
    """Return where the errors of a problem are."""
    return [error["pointer"] for error in problem["errors"]]


async def test_what_is_put_is_shown_listed_and_removed(ingest: Ingest) -> None:
    """A template that is put is new, has its path, and is there until it is removed."""
    response = await ingest.http.put(PATH, json={**REPORT, "description": "For the office"})
    assert (response.status_code, response.headers["location"]) == (201, PATH)
    found = await ingest.get(PATH)
    assert found == response.json()
    assert {name: found[name] for name in REPORT} == REPORT
    assert (found["name"], found["description"]) == ("nightly-report", "For the office")
    await put(ingest, "/v1/templates/weekly")
    assert [one["name"] for one in (await ingest.get("/v1/templates"))["items"]] == ["nightly-report", "weekly"]
    first = await ingest.get("/v1/templates", limit=1)
    rest = await ingest.get("/v1/templates", limit=1, cursor=first["next_cursor"])
    assert ([one["name"] for one in rest["items"]], rest["next_cursor"]) == (["weekly"], None)
    assert [one["name"] for one in (await ingest.get("/v1/templates", name="week"))["items"]] == ["weekly"]
    assert (await ingest.http.delete(PATH)).json() == found
    assert (await ingest.http.get(PATH)).json()["type"].endswith("template-not-found")
    assert (await ingest.http.delete(PATH)).status_code == 404


async def test_an_integer_may_be_written_as_a_float(ingest: Ingest) -> None:
    """A template with `3.0` attempts is shown and listed as one with 3, as in any submission."""
    headers = {"content-type": "application/json"}
    response = await ingest.http.put(PATH, content=b'{"type": "email.send", "max_attempts": 3.0}', headers=headers)
    assert (response.status_code, response.json()["max_attempts"]) == (201, 3)
    assert response.json() in (await ingest.get("/v1/templates"))["items"]
    assert await ingest.get(PATH) == response.json()


async def test_examples_of_the_document_work(ingest: Ingest) -> None:
    """What the API document shows as the body of a template can be put."""
    for example in templates.PUT.body.examples.values():
        response = await ingest.http.put(PATH, json=msgspec.to_builtins(example.value))
        assert response.status_code in {200, 201}, response.text


async def test_a_submission_is_filled_up(ingest: Ingest) -> None:
    """What a submission leaves out, its template says."""
    await put(ingest)
    job = await submit(ingest)
    assert {name: job[name] for name in REPORT} == REPORT


async def test_what_a_submission_says_itself_wins(ingest: Ingest) -> None:
    """Fields win one by one, and members of a payload that is an object; any other payload replaces that of it."""
    await put(ingest)
    job = await submit(ingest, priority="high", tags={"a": "b"}, payload={"rows": [], "city": "Oslo"})
    assert (job["priority"], job["tags"], job["max_attempts"]) == ("high", {"a": "b"}, 2)
    assert job["payload"] == {"format": "pdf", "rows": [], "at": "2026-11-27", "city": "Oslo"}
    assert (await submit(ingest, payload=[1]))["payload"] == [1]
    assert (await submit(ingest, payload=None))["payload"] is None
    assert (await submit(ingest, type="email.send"))["type"] == "email.send"


async def test_encodings_mix(ingest: Ingest) -> None:
    """A template that was put in MessagePack fills up JSON, and the other way round, also beyond what a float holds."""
    big = 2**60 + 1
    headers = {"content-type": MSGPACK, "accept": "application/json"}
    content = msgspec.msgpack.encode({**REPORT, "payload": {"n": big}})
    assert (await ingest.http.put(PATH, content=content, headers=headers)).status_code == 201
    assert (await submit(ingest, payload={"m": 1}))["payload"] == {"n": big, "m": 1}
    content = msgspec.msgpack.encode({"template": "nightly-report", "payload": {"m": big}})
    response = await ingest.http.post("/v1/jobs", content=content, headers=headers)
    assert response.json()["payload"] == {"n": big, "m": big}


async def test_a_batch_fills_up_each_item(ingest: Ingest) -> None:
    """Items name templates of their own; one that does not exist is that item's error, at its place."""
    await put(ingest)
    jobs = [{"template": "nightly-report"}, {"template": "nightly-raport"}, {"type": "email.send"}]
    response = await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs})
    good, bad, plain = response.json()["items"]
    assert (good["status"], bad["status"], plain["status"]) == (202, 422, 202)
    [error] = bad["problem"]["errors"]
    assert error["pointer"] == "/jobs/1/template"
    assert "did you mean `nightly-report`?" in error["detail"]
    assert (await ingest.get(f"/v1/jobs/{good['id']}"))["payload"] == REPORT["payload"]


@pytest.mark.parametrize("name", [7, None, ["nightly-report"], ""])
async def test_a_name_that_is_none_is_refused(ingest: Ingest, name: Any) -> None:
    """What is no name of a template is the error of that field."""
    await put(ingest)
    assert pointers(await submit(ingest, 422, template=name)) == ["/template"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"priority": "urgent"}, "/priority"),
        ({"max_attempts": 0}, "/max_attempts"),
        ({"prioritty": "low"}, "/prioritty"),
        ({"run_at": "2026-11-27T02:00:00Z", "delay_s": 1}, "/delay_s"),
        ({"payload": {"n": 1 << 64}}, "/payload/n"),
    ],
)
async def test_a_filled_submission_keeps_the_rules(ingest: Ingest, fields: dict[str, Any], pointer: str) -> None:
    """A submission with a template is refused as one without it."""
    await put(ingest)
    assert pointer in pointers(await submit(ingest, 422, **fields))


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"type": None}, "/type"),
        ({"after": ["email.send_000001KBCSZ4000ABCDEFGHJKM"]}, "/after"),
        ({"run_at": "2026-11-27T02:00:00Z"}, "/run_at"),
        ({"payload": {"n": 1 << 64}}, "/payload/n"),
        ({"template": "weekly"}, "/template"),
        ({"description": "a" * (limits.MAX_TEMPLATE_DESCRIPTION_CHARS + 1)}, "/description"),
        ({"callback": {"url": "nowhere"}}, "/callback/url"),
    ],
)
async def test_a_bad_template_is_not_stored(ingest: Ingest, fields: dict[str, Any], pointer: str) -> None:
    """A template that no submission could keep the rules with is refused by the field, and nothing is stored."""
    response = await ingest.http.put(PATH, json={**REPORT, **fields})
    assert response.status_code == 422, response.text
    assert pointers(response.json()) == [pointer]
    assert (await ingest.get("/v1/templates"))["items"] == []


async def test_a_name_that_cannot_be_is_refused(ingest: Ingest) -> None:
    """A template has a name that a path can say."""
    response = await ingest.http.put("/v1/templates/a%20b", json=REPORT)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "")


async def test_there_are_so_many_templates_at_most(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused; one that is there can still be replaced."""
    monkeypatch.setattr(limits, "MAX_TEMPLATES", 1)
    await put(ingest)
    response = await ingest.http.put("/v1/templates/weekly", json=REPORT)
    assert (response.status_code, "1 templates already" in response.json()["detail"]) == (422, True)
    assert (await put(ingest, priority="high"))["priority"] == "high"


async def test_later_edits_change_no_job_and_no_repetition(ingest: Ingest) -> None:
    """A request that is repeated under its key is the same one, whatever its template says by then."""
    await put(ingest)
    headers = {"idempotency-key": "k1"}
    body = {"template": "nightly-report", "payload": {"city": "Oslo", "rows": []}}
    first = await ingest.http.post("/v1/jobs", json=body, headers=headers)
    await put(ingest, payload={"format": "csv"}, priority="high")
    again = await ingest.http.post(
        "/v1/jobs", json={"payload": {"rows": [], "city": "Oslo"}, "template": "nightly-report"}, headers=headers
    )
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["payload"] == {"format": "pdf", "rows": [], "at": "2026-11-27", "city": "Oslo"}
    other = await ingest.http.post("/v1/jobs", json={**body, "payload": {}}, headers=headers)
    assert other.json()["type"].endswith("idempotency-key-reused")


async def test_a_schedule_keeps_what_the_template_said(ingest: Ingest) -> None:
    """The job of a schedule may name a template, of which it keeps what that says when the schedule is put."""
    await put(ingest)
    job = {"template": "nightly-report", "payload": {"city": "Oslo"}}
    response = await ingest.http.put("/v1/schedules/nightly", json={"every_s": 3600, "job": job})
    assert response.status_code == 201, response.text
    await ingest.http.delete(PATH)
    shown = (await ingest.get("/v1/schedules/nightly"))["job"]
    assert (shown["type"], shown["payload"]["format"], shown["payload"]["city"]) == ("report.generate", "pdf", "Oslo")
    response = await ingest.http.put("/v1/schedules/nightly", json={"every_s": 3600, "job": job})
    assert (response.status_code, pointers(response.json())) == (422, ["/job/template"])


async def test_what_another_program_wrote_is_no_template(ingest: Ingest, broker: Broker) -> None:
    """A template that cannot be read is not there; the others are, and to put it mends it."""
    await put(ingest, "/v1/templates/weekly")
    await broker.client.hset(broker.keys.templates(DEFAULT_TENANT), "nightly-report", b"\xc1")
    assert (await ingest.http.get(PATH)).status_code == 404
    assert [one["name"] for one in (await ingest.get("/v1/templates"))["items"]] == ["weekly"]
    await submit(ingest, 422)
    await put(ingest)
    await submit(ingest)
    await broker.client.delete(broker.keys.templates(DEFAULT_TENANT))
    await broker.client.set(broker.keys.templates(DEFAULT_TENANT), "text")
    assert (await ingest.get("/v1/templates"))["items"] == []
    await broker.client.delete(broker.keys.templates(DEFAULT_TENANT))
