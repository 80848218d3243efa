"""Endpoints are made, changed and called over HTTP; their secrets verify what workers sign."""

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from history_seeds import events_of, store_at
from ingest.serving import Ingest, remembering_ingest, running_ingest
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    ENDS,
    EventKind,
    Job,
    JobState,
    JobType,
    Queue,
    made_at,
    new_job_id,
)
from millstream_history import open_history
from millstream_history.webhooks.endpoints import MAX_ENDPOINTS
from millstream_ingest.api.routes import examples
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker
from millstream_webhooks import CALL_TYPE, CALLBACKS, WebhookCall, WebhookKeys, signing_secrets

KEY = "k" * 32
KEYS = WebhookKeys([KEY])
URL = "https://receiver.example/hook"
CALLS = Queue(DEFAULT_TENANT, JobType(CALL_TYPE))


@pytest.fixture
async def ingest(settings: IngestSettings, history_url: str, broker: Broker) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history and a key."""
    async with remembering_ingest(replace(settings, webhook_key=Secret(KEY)), history_url) as running:
        yield running


async def post(ingest: Ingest, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    """Send a POST, which must be answered by this status."""
    response = await ingest.http.post(path, **({"json": body} if body else {}))
    assert response.status_code == status, response.text
    return response.json()


async def made(ingest: Ingest, **fields: Any) -> dict[str, Any]:
    """Make an endpoint."""
    return await post(ingest, "/v1/webhooks", 201, **({"url": URL} | fields))


async def test_endpoint_is_made_with_its_secret_and_listed_without(ingest):
    """A new endpoint wants the ends of all jobs, and its secret is in the answer and in no list."""
    new = await made(ingest, description="all")
    assert new["id"].startswith("whep_")
    assert (new["url"], new["types"], new["events"], new["payloads"]) == (URL, ["*"], [*map(str, ENDS)], False)
    assert new["secret"].startswith("whsec_")
    listed = (await ingest.get("/v1/webhooks"))["items"]
    assert listed == [{name: value for name, value in new.items() if name != "secret"}]
    assert await ingest.get(f"/v1/webhooks/{new['id']}") == listed[0]
    assert await ingest.get(f"/v1/webhooks/{new['id']}/secret") == {"id": new["id"], "secret": new["secret"]}


async def test_database_holds_no_secret(ingest, history_url):
    """What the database stores of an endpoint is not what a signature is made with."""
    new = await made(ingest)
    async with open_history(history_url) as history:
        (stored,) = await history.webhooks.every()
    assert new["secret"] == KEYS.secret(new["id"], stored.salts[0].text)
    assert new["secret"].removeprefix("whsec_") not in str(msgspec.to_builtins(stored))


@pytest.mark.parametrize(
    ("fields", "pointer", "said"),
    [
        ({"url": "http://127.0.0.1/"}, "/url", "MILLSTREAM_OUTGOING_NETWORKS"),
        ({"url": "https://a:b@c.example/"}, "/url", "credentials"),
        ({"types": []}, "/types", "at least 1"),
        ({"types": ["A B"]}, "/types/0", "expected"),
        ({"events": ["died"]}, "/events/0", "expected one of"),
        ({"urls": URL}, "/urls", "unknown field"),
    ],
)
async def test_endpoint_is_refused_when_nothing_could_go_there(ingest, fields, pointer, said):
    """A wrong field of an endpoint is named, and nothing is made."""
    refusal = await post(ingest, "/v1/webhooks", 422, **({"url": URL} | fields))
    (error,) = refusal["errors"]
    assert error["pointer"] == pointer
    assert said in error["detail"]
    assert (await ingest.get("/v1/webhooks"))["items"] == []


async def test_endpoint_is_changed_in_what_is_given(ingest):
    """A change leaves alone what it does not name."""
    new = await made(ingest)
    path = f"/v1/webhooks/{new['id']}"
    changed = await ingest.http.patch(path, json={"events": ["dead"], "payloads": True})
    assert changed.status_code == 200
    assert changed.json() == await ingest.get(path)
    assert (changed.json()["events"], changed.json()["payloads"], changed.json()["url"]) == (["dead"], True, URL)
    assert (await ingest.http.patch(path, json={})).json() == changed.json()
    assert (await ingest.http.patch(path, json={"url": "http://10.0.0.1/"})).status_code == 422


async def test_endpoint_is_removed(ingest):
    """An endpoint that is removed is there no more."""
    path = f"/v1/webhooks/{(await made(ingest))['id']}"
    assert (await ingest.http.delete(path)).status_code == 200
    assert (await ingest.http.delete(path)).status_code == 404
    assert (await ingest.http.get(path)).status_code == 404


async def test_rotation_makes_a_secret_beside_which_the_last_one_signs_for_a_day(ingest, history_url):
    """After a rotation the new secret is shown, and calls are signed with both for a day."""
    new = await made(ingest)
    rotated = await post(ingest, f"/v1/webhooks/{new['id']}/rotate")
    assert rotated["secret"] != new["secret"]
    assert rotated["rotated_at"] is not None
    async with open_history(history_url) as history:
        (stored,) = await history.webhooks.every()
    present, last = stored.salts
    assert [KEYS.secret(new["id"], one.text) for one in (present, last)] == [rotated["secret"], new["secret"]]
    assert present.until_ms is None
    assert last.until_ms == round(stored.webhook.rotated_at.timestamp() * 1000) + 86_400_000


async def test_rotations_in_a_row_keep_the_last_few_secrets(ingest, history_url):
    """Any number of rotations leaves a bounded number of secrets that sign."""
    new = await made(ingest)
    for _ in range(6):
        await post(ingest, f"/v1/webhooks/{new['id']}/rotate")
    async with open_history(history_url) as history:
        (stored,) = await history.webhooks.every()
    assert len(stored.salts) == 4


async def test_endpoint_is_disabled_and_enabled(ingest):
    """An endpoint that is enabled again has forgotten why it was disabled, and its failures."""
    path = f"/v1/webhooks/{(await made(ingest))['id']}"
    off = await post(ingest, f"{path}/disable")
    assert (off["disabled_at"] is not None, off["disabled_reason"]) == (True, "by hand")
    on = await post(ingest, f"{path}/enable")
    assert (on["disabled_at"], on["disabled_reason"], on["failing_since"]) == (None, None, None)
    assert on["enabled_at"] is not None


async def test_test_is_delivered_by_a_job(ingest, broker):
    """A test is a job with a signed event of its own type."""
    new = await made(ingest)
    job = await post(ingest, f"/v1/webhooks/{new['id']}/test", 202)
    stored = await broker.views.job(CALLS, job["id"])
    call = msgspec.convert(stored.payload, WebhookCall)
    assert (call.url, call.body["type"], call.event_id) == (URL, "millstream.webhook.test", call.body["id"])
    assert len(signing_secrets(call, KEYS, 0)) == 1
    assert stored.tags == {"endpoint": new["id"], "event": "test"}


async def test_redelivery_has_the_event_and_body_of_the_first(ingest, broker):
    """A redelivery is a new job with the same id and body, for the URL and the secrets of now."""
    new = await made(ingest)
    first = await post(ingest, f"/v1/webhooks/{new['id']}/test", 202)
    await ingest.http.patch(f"/v1/webhooks/{new['id']}", json={"url": "https://other.example/"})
    await post(ingest, f"/v1/webhooks/{new['id']}/rotate")
    again = await post(ingest, f"/v1/webhooks/{new['id']}/deliveries/{first['id']}/redeliver", 202)
    assert again["id"] != first["id"]
    calls = [msgspec.convert((await broker.views.job(CALLS, job["id"])).payload, WebhookCall) for job in (first, again)]
    assert (calls[0].event_id, calls[0].body) == (calls[1].event_id, calls[1].body)
    assert calls[1].url == "https://other.example/"
    assert len(signing_secrets(calls[1], KEYS, 0)) == 2
    assert again["tags"]["redelivery_of"] == first["id"]


async def test_redelivery_is_refused_for_what_is_no_delivery_of_the_endpoint(ingest):
    """Only a delivery of the endpoint itself can be delivered again."""
    one, other = await made(ingest), await made(ingest)
    foreign = await post(ingest, f"/v1/webhooks/{other['id']}/test", 202)
    job = await ingest.submit()
    for wrong in (foreign["id"], job["id"], "nothing"):
        await post(ingest, f"/v1/webhooks/{one['id']}/deliveries/{wrong}/redeliver", 404)


@pytest.mark.parametrize("action", ["rotate", "enable", "disable", "test"])
async def test_action_on_an_endpoint_that_is_not_there_is_refused(ingest, action):
    """What is done with an unknown endpoint is answered by 404."""
    await post(ingest, f"/v1/webhooks/whep_none/{action}", 404)


async def test_endpoints_are_bounded_in_number(ingest, history_url):
    """A tenant has a bounded number of endpoints."""
    async with open_history(history_url) as history:
        await made(ingest)
        (stored,) = await history.webhooks.every()
        for number in range(MAX_ENDPOINTS - 1):
            await history.webhooks.add(replace(stored, webhook=replace(stored.webhook, id=f"whep_{number}")))
    refusal = await post(ingest, "/v1/webhooks", 422, url=URL)
    assert "100" in refusal["detail"]


async def test_secret_of_callbacks_needs_no_history(settings, broker):
    """The secret of callbacks is there without a database; endpoints are not."""
    async with running_ingest(replace(settings, webhook_key=Secret(KEY))) as ingest:
        secret = await ingest.get("/v1/webhooks/callbacks/secret")
        assert secret == {"id": CALLBACKS, "secret": KEYS.secret(CALLBACKS, DEFAULT_TENANT)}
        assert (await ingest.http.get("/v1/webhooks")).json()["type"] == "/problems/no-history"
        assert (await ingest.http.get("/v1/webhooks/whep_1/secret")).status_code == 404


async def test_endpoints_need_a_key(settings, history_url, broker):
    """Without a key no secret could be shown, and the answer says what to set."""
    async with remembering_ingest(settings, history_url) as ingest:
        refusal = await post(ingest, "/v1/webhooks", 422, url=URL)
        assert refusal["type"] == "/problems/no-webhook-key"
        assert (await ingest.http.get("/v1/webhooks/callbacks/secret")).status_code == 422


@pytest.mark.parametrize("example", examples.NEW_WEBHOOKS.values(), ids=list(examples.NEW_WEBHOOKS))
async def test_examples_of_new_endpoints_are_accepted(ingest, example):
    """What the API document shows of a new endpoint can be sent as it stands."""
    await made(ingest, **example.value)


@pytest.mark.parametrize("example", examples.WEBHOOK_CHANGES.values(), ids=list(examples.WEBHOOK_CHANGES))
async def test_examples_of_changes_are_accepted(ingest, example):
    """What the API document shows of a change can be sent as it stands."""
    new = await made(ingest)
    assert (await ingest.http.patch(f"/v1/webhooks/{new['id']}", json=example.value)).status_code == 200


async def test_deliveries_of_an_endpoint_are_listed_page_by_page(ingest, history_url):
    """The deliveries of an endpoint are found in the history by its id, and those of others are not among them."""
    new = await made(ingest)
    now_ms = round(time.time() * 1000)
    for number, endpoint in enumerate([new["id"], "whep_other", new["id"], new["id"]]):
        job_id = new_job_id(CALLS, now_ms - 1000 * number)
        tags = {"endpoint": endpoint, "event": "dead"}
        job = Job(
            id=job_id, type=CALLS.type, state=JobState.SUCCEEDED, version=1, created_at=made_at(job_id), tags=tags
        )
        await store_at(history_url, CALLS, job, events_of(job, [(EventKind.SUCCEEDED, "succeeded")], at_ms=now_ms))
    path = f"/v1/webhooks/{new['id']}/deliveries"
    first = await ingest.get(path, limit=2)
    second = await ingest.get(path, limit=2, cursor=first["next_cursor"])
    assert [len(first["items"]), len(second["items"])] == [2, 1]
    assert {one["tags"]["endpoint"] for one in first["items"] + second["items"]} == {new["id"]}
    assert (await ingest.http.get(path, params={"cursor": "x"})).status_code == 400
