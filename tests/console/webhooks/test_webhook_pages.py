"""The pages of webhooks over a real ingest with a history and a key, read without script."""

import time
from collections.abc import AsyncIterator

import pytest
from console.serving import Browser
from history_seeds import events_of, store
from ingest.serving import Ingest, patient, remembering_ingest
from ingest.webhooks.test_endpoints import CALLS, KEY, URL

from millstream import SecretWebhook
from millstream_contracts import EventKind, Job, JobError, JobState, made_at, new_job_id
from millstream_history import open_history
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


@pytest.fixture(scope="module")
async def remembering(redis_url: str, namespace: str, database: str) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history and the key of webhooks."""
    settings = patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0, webhook_key=Secret(KEY)))
    async with remembering_ingest(settings, database) as running:
        yield running


@pytest.fixture
async def endpoint(archive: Browser) -> SecretWebhook:
    """Return an endpoint that there is."""
    return await archive.desk.client.add_webhook(URL, types=["email.*"], description=HOSTILE)


async def deliver(history_url: str, endpoint_id: str, count: int, error: str = "") -> list[str]:
    """Store deliveries to an endpoint, the newest first; return their ids."""
    now_ms = round(time.time() * 1000)
    ids = []
    async with open_history(history_url) as history:
        for number in range(count):
            job_id = new_job_id(CALLS, now_ms - 1000 * number)
            job = Job(
                id=job_id,
                type=CALLS.type,
                state=JobState.SUCCEEDED,
                version=1,
                created_at=made_at(job_id),
                tags={"endpoint": endpoint_id, "event": "dead", "job": f"email.send_{number}"},
                error=JobError("NoAnswer", error) if error else None,
            )
            await store(history, CALLS, job, events_of(job, [(EventKind.SUCCEEDED, "succeeded")], at_ms=now_ms))
            ids.append(job_id)
    return ids


async def test_endpoints_are_listed_with_what_they_get(archive: Browser, endpoint: SecretWebhook) -> None:
    """A row has state, URL, types and events, the description of a user is text, and no secret is on the page."""
    page = await archive.get("/webhooks")
    (row,) = page.rows()
    assert row.startswith(f"enabled {URL} ")
    assert "email.*" in row
    assert "the ends of jobs" in row
    assert "<img src=x" not in page.html
    assert endpoint.secret not in page.html


async def test_no_endpoint_says_what_one_is(archive: Browser) -> None:
    """The empty list has the command and the button that make one."""
    page = await archive.get("/webhooks")
    assert "No endpoint yet" in page.main
    assert "millstream webhooks add" in page.main
    assert page.all("main a[href='/webhooks/new']")


async def test_without_a_history_the_page_says_so(console: Browser) -> None:
    """Endpoints are kept in the history; without one the page says what is missing, and offers none."""
    page = await console.get("/webhooks")
    assert "There is no history, so no endpoints of webhooks" in page.main
    assert not page.all("a[href='/webhooks/new']")


async def test_a_new_endpoint_shows_its_secret_once(archive: Browser) -> None:
    """The answer of the form has the secret; the endpoint is there as it was typed."""
    page = await archive.post(
        "/webhooks/new", url=URL, types="email.*, sms.send", events=["dead", "retrying"], payloads="1", description="x"
    )
    assert page.the("#secret").get_text().startswith("whsec_")
    assert page.response.headers["cache-control"] == "no-store"
    (made,) = await archive.desk.client.webhooks()
    assert (made.url, made.types, made.events, made.payloads) == (
        URL,
        ["email.*", "sms.send"],
        ["dead", "retrying"],
        True,
    )
    assert page.all(f"a[href='/webhooks/{made.id}']")


@pytest.mark.parametrize(
    ("fields", "name", "said"),
    [
        ({"url": "http://127.0.0.1/"}, "url", "MILLSTREAM_OUTGOING_NETWORKS"),
        ({"url": URL, "types": "A!"}, "types", "form that is expected"),
        ({"url": URL, "types": "email.*", "events": ["died"]}, "events", "there is no event"),
        ({"url": URL, "types": "email.*", "events": []}, "events", "at least 1"),
    ],
)
async def test_a_wrong_field_is_named_and_what_was_typed_stays(
    archive: Browser, fields: dict[str, object], name: str, said: str
) -> None:
    """A refusal stands at its field, nothing is made, and no field has to be typed again."""
    given = {"types": "*", "events": ["dead"], "description": HOSTILE} | fields
    page = await archive.post("/webhooks/new", **given)
    assert page.status == 422
    assert said in page.the(f"#{name}-why").get_text()
    assert page.the("input[name=description]")["value"] == HOSTILE
    assert page.the("input[name=url]")["value"] == given["url"]
    assert await archive.desk.client.webhooks() == []


async def test_an_endpoint_is_changed(archive: Browser, endpoint: SecretWebhook) -> None:
    """The form has what is set; what is sent replaces it."""
    form = await archive.get(f"/webhooks/{endpoint.id}/edit")
    assert form.the("input[name=types]")["value"] == "email.*"
    assert [one["value"] for one in form.all("input[name=events][checked]")] == [
        "succeeded",
        "dead",
        "cancelled",
        "expired",
    ]
    page = await archive.post(f"/webhooks/{endpoint.id}/edit", url=URL, types="*", events=["dead"], description="")
    assert page.toast == "Changed."
    changed = await archive.desk.client.webhook(endpoint.id)
    assert (changed.types, changed.events, changed.description) == (["*"], ["dead"], "")


async def test_deliveries_are_listed_page_by_page(archive: Browser, endpoint: SecretWebhook, history_url: str) -> None:
    """The log has event, job and what the receiver answered; older ones are a page away."""
    ids = await deliver(history_url, endpoint.id, 26, error=HOSTILE)
    page = await archive.get(f"/webhooks/{endpoint.id}")
    assert len(page.rows()) == 25
    assert page.rows()[0].startswith("succeeded dead email.send_0")
    assert page.all(f"a[href='/jobs/{ids[0]}']")
    assert page.all("a[href='/jobs/email.send_0']")
    assert "<img src=x" not in page.html
    older = await archive.get(str(page.the("a[rel=next]")["href"]))
    assert [row.split()[2] for row in older.rows()] == ["email.send_25"]


async def test_a_delivery_is_sent_once_more(archive: Browser, endpoint: SecretWebhook) -> None:
    """The button makes another delivery of the same event, and says which."""
    first = await archive.desk.client.test_webhook(endpoint.id)
    page = await archive.post(f"/webhooks/{endpoint.id}/deliveries/{first.id}/redeliver")
    assert page.toast.startswith("Delivered once more as webhook.call_")
    refused = await archive.post(f"/webhooks/{endpoint.id}/deliveries/webhook.call_none/redeliver")
    assert refused.the(".toast.b")


async def test_a_test_is_sent(archive: Browser, endpoint: SecretWebhook) -> None:
    """The button makes a job that delivers a test."""
    page = await archive.post(f"/webhooks/{endpoint.id}/test")
    assert page.toast.startswith("A test is on its way: webhook.call_")


async def test_an_endpoint_is_disabled_and_enabled(archive: Browser, endpoint: SecretWebhook) -> None:
    """Each button does its part, says what follows, and the page tells since when the endpoint gets nothing."""
    page = await archive.post(f"/webhooks/{endpoint.id}/disable")
    assert page.toast.startswith("Disabled.")
    assert "gets no events until it is enabled" in page.main
    assert "disabled" in page.the("#live_state").get_text()
    page = await archive.post(f"/webhooks/{endpoint.id}/enable")
    assert page.toast == "Enabled. It gets what happens from now on."
    assert "gets no events until it is enabled" not in page.main


async def test_an_endpoint_is_removed_after_a_question(archive: Browser, endpoint: SecretWebhook) -> None:
    """The dialog names the URL and what cannot be undone; afterwards the endpoint is gone."""
    page = await archive.get(f"/webhooks/{endpoint.id}")
    dialog = page.the("dialog#remove").get_text(" ")
    assert URL in dialog
    assert "cannot be undone" in dialog
    page = await archive.post(f"/webhooks/{endpoint.id}/remove")
    assert page.toast == f"{URL} is removed."
    assert "No endpoint yet" in page.main
    await archive.get(f"/webhooks/{endpoint.id}", status=404)


async def test_a_secret_is_shown_on_demand_and_replaced(archive: Browser, endpoint: SecretWebhook) -> None:
    """A secret is the answer of a POST alone; a replaced one is another."""
    assert endpoint.secret not in (await archive.get(f"/webhooks/{endpoint.id}")).html
    shown = await archive.post(f"/webhooks/{endpoint.id}/secret")
    assert shown.the("#secret").get_text() == endpoint.secret
    replaced = await archive.post(f"/webhooks/{endpoint.id}/rotate")
    assert replaced.the("#secret").get_text() not in {endpoint.secret, ""}
    assert "for 24 hours" in replaced.main


async def test_the_secret_of_callbacks_is_shown(archive: Browser) -> None:
    """Callbacks have one secret, which their page shows on demand, beside their deliveries."""
    page = await archive.post("/webhooks/callbacks/secret")
    assert page.the("#secret").get_text().startswith("whsec_")
    assert "Nothing was delivered yet" in (await archive.get("/webhooks/callbacks")).main


async def test_without_a_key_the_reason_is_told(console: Browser) -> None:
    """An installation that cannot sign says which setting is missing."""
    page = await console.post("/webhooks/callbacks/secret")
    assert "MILLSTREAM_WEBHOOK_KEY" in page.toast or "no key" in page.toast


@pytest.mark.parametrize(
    "path", ["enable", "disable", "test", "remove", "secret", "rotate", "edit", "deliveries/webhook.call_1/redeliver"]
)
async def test_another_site_can_do_none_of_this(archive: Browser, endpoint: SecretWebhook, path: str) -> None:
    """Every form is refused to another site, and changes nothing."""
    answer = await archive.http.post(f"/webhooks/{endpoint.id}/{path}", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert endpoint.secret not in answer.text
    now = await archive.desk.client.webhook(endpoint.id)
    assert (now.disabled_at, now.rotated_at, now.types) == (None, None, ["email.*"])
