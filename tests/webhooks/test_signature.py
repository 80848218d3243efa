"""Signatures, secrets and bodies, compared with the libraries that receivers use."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from msgspec.structs import replace
from standardwebhooks import Webhook, WebhookVerificationError

from millstream_contracts import Job, JobError, JobId, JobState, JobType
from millstream_webhooks import (
    CONTENT_TYPE,
    Salt,
    SealError,
    WebhookCall,
    WebhookKeys,
    cloud_event,
    new_salt,
    sealed,
    signature_headers,
    signing_secrets,
)

KEY, OLD_KEY = "k" * 32, "o" * 32
KEYS = WebhookKeys([KEY])
NOW_MS = 1_800_000_000_000


def now_s() -> int:
    """Return the time, which the oracle compares with that of a signature."""
    return int(datetime.now(UTC).timestamp())


def test_signature_is_accepted_by_the_library_of_standard_webhooks() -> None:
    """A receiver verifies a call with the secret that ingest shows, and refuses any other body."""
    body = b'{"a": 1}'
    headers = signature_headers("evt_1", now_s(), body, KEYS.secrets("whep_1", ["s1"]))
    receiver = Webhook(KEYS.secret("whep_1", "s1"))
    assert receiver.verify(body, headers) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        receiver.verify(b'{"a": 2}', headers)


def test_signature_fits_both_secrets_during_a_rotation() -> None:
    """While two secrets are valid a call has a signature of each, so that receivers may change theirs in between."""
    salts = [Salt("new"), Salt("old", until_ms=NOW_MS + 1)]
    call = sealed(WebhookCall(url="https://a.example/", endpoint="whep_1", salts=salts), KEYS)
    headers = signature_headers("evt_1", now_s(), b"1", signing_secrets(call, KEYS, NOW_MS))
    for salt in ("new", "old"):
        Webhook(KEYS.secret("whep_1", salt)).verify(b"1", headers)
    assert signing_secrets(call, KEYS, NOW_MS + 1) == KEYS.secrets("whep_1", ["new"])


def test_call_is_signed_with_an_old_secret_when_all_have_ended() -> None:
    """A call that is tried again after the time of its last secret is signed with that, and not left unsigned."""
    call = sealed(WebhookCall(url="https://a.example/", endpoint="e", salts=[Salt("s", until_ms=1)]), KEYS)
    assert signing_secrets(call, KEYS, NOW_MS) == KEYS.secrets("e", ["s"])


def test_signature_fits_the_key_before_while_that_is_set() -> None:
    """A change of the installation's key changes all secrets; with both keys set, calls fit the old ones too."""
    both = WebhookKeys([KEY, OLD_KEY])
    call = sealed(WebhookCall(url="https://a.example/", endpoint="e", salts=[Salt("s")]), WebhookKeys([OLD_KEY]))
    headers = signature_headers("evt_1", now_s(), b"1", signing_secrets(call, both, NOW_MS))
    for key in (KEY, OLD_KEY):
        Webhook(WebhookKeys([key]).secret("e", "s")).verify(b"1", headers)


@pytest.mark.parametrize(
    "change",
    [{"url": "https://b.example/"}, {"body": {"a": 2}}, {"event_id": "evt_2"}, {"salts": [Salt("t")]}, {"seal": "00"}],
    ids=str,
)
def test_call_gets_no_signature_when_its_seal_does_not_fit(change: dict[str, Any]) -> None:
    """A submitter of jobs cannot have a call of its own signed for an endpoint."""
    call = WebhookCall(url="https://a.example/", body={"a": 1}, event_id="evt_1", endpoint="e", salts=[Salt("s")])
    with pytest.raises(SealError, match="seal does not fit"):
        signing_secrets(replace(sealed(call, KEYS), **change), KEYS, NOW_MS)


def test_call_keeps_its_seal_on_its_way_through_redis() -> None:
    """The seal fits what a worker decodes of the payload, whatever the order of its keys."""
    body = {"z": [1, 2.5, None, "ü"], "a": {"y": True, "b": 10**18}}
    call = sealed(WebhookCall(url="https://a.example/", body=body, endpoint="e", salts=[Salt("s")]), KEYS)
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(call, order="sorted"), type=WebhookCall)
    assert signing_secrets(stored, KEYS, NOW_MS)


def test_sealed_call_is_refused_by_a_worker_without_the_key() -> None:
    """A call that is to be signed is not sent unsigned."""
    call = sealed(WebhookCall(url="https://a.example/", endpoint="e", salts=[Salt("s")]), KEYS)
    with pytest.raises(SealError, match="MILLSTREAM_WEBHOOK_KEY"):
        signing_secrets(call, WebhookKeys([]), NOW_MS)


def test_call_is_not_signed_when_no_key_is_set() -> None:
    """Without a key of the installation calls are sent without a signature."""
    call = sealed(WebhookCall(url="https://a.example/", endpoint="e"), WebhookKeys([]))
    assert signing_secrets(call, WebhookKeys([]), NOW_MS) == []
    assert "webhook-signature" not in signature_headers("evt_1", 1, b"", [])


def test_keys_refuse_one_that_is_too_short() -> None:
    """A key that could be guessed is refused."""
    with pytest.raises(ValueError, match="shorter than 32"):
        WebhookKeys(["short"])


def test_secret_has_the_form_of_standard_webhooks_and_differs_by_salt_and_endpoint() -> None:
    """A secret begins with `whsec_` and holds 32 bytes; each endpoint and each rotation has another."""
    shown = {KEYS.secret(endpoint, salt) for endpoint in ("a", "b") for salt in (new_salt(), new_salt())}
    assert len(shown) == 4
    for secret in shown:
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


def dead_job(**fields: Any) -> Job:
    """Return a dead job."""
    error = JobError("ValueError", "no", "f1", "Traceback: secret", attempt=1)
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return Job(
        id=JobId("a_1"),
        type=JobType("a"),
        state=JobState.DEAD,
        created_at=at,
        payload={"p": 1},
        error=error,
        **fields,
    )


def test_body_is_accepted_by_the_library_of_cloudevents() -> None:
    """A receiver reads the body as a CloudEvent in the structured form."""
    body = cloud_event("evt_1", "dead", datetime(2026, 1, 2, 3, tzinfo=UTC), "/millstream", dead_job(), whole=False)
    message = HTTPMessage(headers={"content-type": CONTENT_TYPE}, body=json.dumps(body).encode())
    event = from_http_event(message, JSONFormat())
    assert (event.get_id(), event.get_type(), event.get_subject()) == ("evt_1", "millstream.job.dead", "a_1")
    assert (event.get_source(), event.get_time()) == ("/millstream", datetime(2026, 1, 2, 3, tzinfo=UTC))
    assert event.get_data()["state"] == "dead"


def test_body_has_the_payload_only_where_it_is_asked_for_and_never_a_traceback() -> None:
    """An endpoint gets payloads when it asks for them; where an error was raised is told to none."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    without = cloud_event("e", "dead", at, "/", dead_job(), whole=False)["data"]
    whole = cloud_event("e", "dead", at, "/", dead_job(), whole=True)["data"]
    assert "payload" not in without
    assert whole["payload"] == {"p": 1}
    assert without["error"] == {"type": "ValueError", "message": "no", "fingerprint": "f1"}


def test_body_leaves_out_a_payload_that_would_not_fit_into_a_job() -> None:
    """A payload that would make the call larger than a job may be is left out."""
    job = replace(dead_job(), payload="x" * (210 << 10))
    assert "payload" not in cloud_event("e", "dead", datetime(2026, 1, 2, tzinfo=UTC), "/", job, whole=True)["data"]
