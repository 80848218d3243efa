"""Both clients make and change endpoints of webhooks over a real connection."""

from typing import Any

import msgspec
import pytest
from sdk.client.scripted_api import Connect, Reply, ScriptedApi

from millstream import JobEvent, SecretWebhook, SyncClient, Webhook, WebhookSecret

WEBHOOK: dict[str, Any] = {
    "id": "whep_1",
    "url": "https://a.example/",
    "types": ["*"],
    "events": ["dead"],
    "payloads": False,
    "description": "",
    "created_at": "2026-01-02T00:00:00Z",
}
JOB = {"id": "webhook.call_1", "type": "webhook.call", "state": "queued", "created_at": "2026-01-02T00:00:00Z"}
SECRET = {**WEBHOOK, "secret": "whsec_a"}

CALLS = [
    ("webhook", ("whep_1",), {}, ("GET", "/v1/webhooks/whep_1"), WEBHOOK),
    ("remove_webhook", ("whep_1",), {}, ("DELETE", "/v1/webhooks/whep_1"), WEBHOOK),
    ("enable_webhook", ("whep_1",), {}, ("POST", "/v1/webhooks/whep_1/enable"), WEBHOOK),
    ("disable_webhook", ("whep_1",), {}, ("POST", "/v1/webhooks/whep_1/disable"), WEBHOOK),
    ("rotate_webhook", ("whep_1",), {}, ("POST", "/v1/webhooks/whep_1/rotate"), SECRET),
    ("webhook_secret", (), {}, ("GET", "/v1/webhooks/callbacks/secret"), {"id": "callbacks", "secret": "whsec_a"}),
    ("test_webhook", ("whep_1",), {}, ("POST", "/v1/webhooks/whep_1/test"), JOB),
    (
        "webhook_deliveries",
        ("whep_1",),
        {"limit": 2},
        ("GET", "/v1/webhooks/whep_1/deliveries"),
        {"items": [], "next_cursor": None},
    ),
    ("redeliver", ("whep_1", "j/1"), {}, ("POST", "/v1/webhooks/whep_1/deliveries/j%2F1/redeliver"), JOB),
]


@pytest.mark.parametrize(
    ("method", "arguments", "options", "request_line", "answer"), CALLS, ids=lambda one: str(one)[:20]
)
async def test_call_asks_for_one_endpoint(
    connect: Connect,
    api: ScriptedApi,
    method: str,
    arguments: tuple[str, ...],
    options: dict[str, Any],
    request_line: tuple[str, str],
    answer: dict[str, Any],
) -> None:
    """Each call is one request, and its answer has the type that the call names."""
    api.script.append(Reply(200, answer))
    found = await getattr(connect(), method)(*arguments, **options)
    assert (api.received[0].method, api.received[0].path) == request_line
    assert msgspec.to_builtins(found).get("id") == answer.get("id")


async def test_new_endpoint_wants_all_ends_by_default(connect: Connect, api: ScriptedApi) -> None:
    """An endpoint is made for the ends of all jobs, unless the call says otherwise, and its secret comes back."""
    api.script += (Reply(201, SECRET), Reply(201, SECRET))
    client = connect()
    made = await client.add_webhook("https://a.example/")
    assert isinstance(made, SecretWebhook)
    assert made.secret == "whsec_a"
    assert api.received[0].body["url"] == "https://a.example/"
    assert sorted(api.received[0].body["events"]) == ["cancelled", "dead", "expired", "succeeded"]
    await client.add_webhook("https://a.example/", types=["email.*"], events=["dead", JobEvent.RETRYING], payloads=True)
    assert api.received[1].body == {
        "url": "https://a.example/", "types": ["email.*"], "events": ["dead", "retrying"], "payloads": True,
    }  # fmt: skip


async def test_change_sends_what_is_given(connect: Connect, api: ScriptedApi) -> None:
    """A change names only what changes."""
    api.script.append(Reply(200, WEBHOOK))
    assert isinstance(await connect().change_webhook("whep_1", events=[JobEvent.DEAD], payloads=False), Webhook)
    assert api.received[0].body == {"events": ["dead"], "payloads": False}


def test_word_that_is_no_event_is_refused_with_the_one_that_was_meant() -> None:
    """A misspelt event is an error before a request is made, and so is a text in place of a list."""
    with SyncClient("http://127.0.0.1:1") as client:
        with pytest.raises(ValueError, match="there is no event `deat`; did you mean `dead`"):
            client.add_webhook("https://a.example/", events=["deat"])
        with pytest.raises(TypeError, match="types are a list"):
            client.add_webhook("https://a.example/", types="email.*")


async def test_endpoints_are_listed(connect: Connect, api: ScriptedApi) -> None:
    """The list of endpoints is one call."""
    api.script += (Reply(200, {"items": [WEBHOOK], "next_cursor": None}), Reply(200, {"id": "w", "secret": "s"}))
    client = connect()
    (found,) = await client.webhooks()
    assert found.id == "whep_1"
    assert await client.webhook_secret("w") == WebhookSecret(id="w", secret="s")
