"""Makes and changes the endpoints of webhooks, shows their secrets, and submits deliveries by hand."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import asdict, replace

from millstream_contracts import FieldError, Job, NewWebhook, Page, SecretWebhook, Tenant, Webhook, WebhookChange
from millstream_history import BY_HAND, History, JobQuery, SearchCursorError, TooManyEndpointsError
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.problems import BAD_REQUEST, INVALID_REQUEST, NO_WEBHOOK_KEY, NOT_FOUND, WRONG_STATE
from millstream_ingest.submission.single import Submitter
from millstream_ingest.tenants.quotas import Quotas, check_room
from millstream_telemetry import TraceContext
from millstream_webhooks import (
    CALL_TYPE,
    CALLBACKS,
    CONTENT_TYPE,
    NOTICES,
    AddressError,
    Endpoint,
    Network,
    Salt,
    WebhookCall,
    WebhookKeys,
    check_url,
    new_salt,
    sealed,
)

BOTH_SIGN_FOR = timedelta(days=1)
"""How long the secret before a rotation signs too."""

TEST_EVENT = "millstream.webhook.test"


class EndpointDesk:
    """What routes ask about endpoints. Every method may raise IngestError and HistoryError."""

    def __init__(self, submitter: Submitter, keys: WebhookKeys, networks: Sequence[Network], quotas: Quotas) -> None:
        self._quotas = quotas
        self._submitter = submitter
        self._keys = keys
        self._networks = networks

    async def add(self, history: History, tenant: Tenant, asked: NewWebhook) -> SecretWebhook:
        """Make an endpoint, and show its secret."""
        self._require_key()
        self._check(asked.url)
        if (most := self._quotas.of(tenant).webhooks) is not None:
            check_room(most, len(await history.webhooks.of(tenant)), "webhooks")
        webhook = Webhook(id=f"whep_{secrets.token_hex(12)}", created_at=datetime.now(UTC), **asdict(asked))
        endpoint = Endpoint(tenant, webhook, [Salt(new_salt())])
        try:
            await history.webhooks.add(endpoint)
        except TooManyEndpointsError:
            raise IngestError(INVALID_REQUEST, "there are as many endpoints as there may be: 100") from None
        return self._with_secret(endpoint)

    async def change(self, history: History, tenant: Tenant, webhook_id: str, asked: WebhookChange) -> Webhook:
        """Change what is given of an endpoint."""
        values = {name: value for name, value in asdict(asked).items() if value is not None}
        if asked.url is not None:
            self._check(asked.url)
        if not values:
            return (await self.find(history, tenant, webhook_id)).webhook
        return _found(await history.webhooks.change(tenant, webhook_id, values)).webhook

    async def find(self, history: History, tenant: Tenant, webhook_id: str) -> Endpoint:
        """Return an endpoint."""
        return _found(await history.webhooks.find(tenant, webhook_id))

    async def remove(self, history: History, tenant: Tenant, webhook_id: str) -> Webhook:
        """Remove an endpoint, and return it as it was. Deliveries that are stored already go on."""
        return _found(await history.webhooks.remove(tenant, webhook_id)).webhook

    async def rotate(self, history: History, tenant: Tenant, webhook_id: str) -> SecretWebhook:
        """Give an endpoint a new secret, and show it; the one before signs too for :data:`BOTH_SIGN_FOR`."""
        self._require_key()
        now = datetime.now(UTC)
        rotated = await history.webhooks.rotate(tenant, webhook_id, new_salt(), now=now, until=now + BOTH_SIGN_FOR)
        return self._with_secret(_found(rotated))

    async def enable(self, history: History, tenant: Tenant, webhook_id: str) -> Webhook:
        """Let an endpoint get events again, from now on, and forget its failures."""
        values = {"disabled_at": None, "disabled_reason": None, "failing_since": None, "enabled_at": datetime.now(UTC)}
        return _found(await history.webhooks.change(tenant, webhook_id, values)).webhook

    async def disable(self, history: History, tenant: Tenant, webhook_id: str) -> Webhook:
        """Let an endpoint get no more events."""
        values = {"disabled_at": datetime.now(UTC), "disabled_reason": BY_HAND}
        return _found(await history.webhooks.change(tenant, webhook_id, values)).webhook

    async def secret(self, history: History | None, tenant: Tenant, webhook_id: str) -> str:
        """Return the present secret of an endpoint, or that of callbacks or notices, which need no history."""
        self._require_key()
        if webhook_id in {CALLBACKS, NOTICES}:
            return self._keys.secret(webhook_id, tenant)
        if history is None:
            raise _missing()
        endpoint = await self.find(history, tenant, webhook_id)
        return self._keys.secret(webhook_id, endpoint.salts[0].text)

    async def test(self, history: History, tenant: Tenant, webhook_id: str, caller: TraceContext) -> Job:
        """Submit a delivery that says that it is a test, also to a disabled endpoint."""
        endpoint = await self.find(history, tenant, webhook_id)
        event_id, at = f"evt_{secrets.token_hex(16)}", datetime.now(UTC)
        body = {
            "specversion": "1.0",
            "id": event_id,
            "source": f"/millstream/{tenant}",
            "type": TEST_EVENT,
            "time": at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": {"webhook": webhook_id},
        }
        call = WebhookCall(url=endpoint.webhook.url, body=body, content_type=CONTENT_TYPE, event_id=event_id)
        return await self._deliver(endpoint, call, {"event": "test"}, caller)

    async def deliveries(
        self, history: History, tenant: Tenant, webhook_id: str, *, cursor: str | None, limit: int
    ) -> Page:
        """Return a page of the deliveries of an endpoint, or of all callbacks, newest first."""
        query = JobQuery(tenant=tenant, asked_at=datetime.now(UTC), type=CALL_TYPE, tags={"endpoint": webhook_id})
        try:
            found = await history.search.page(query, cursor=cursor, limit=limit)
        except SearchCursorError as error:
            raise IngestError(BAD_REQUEST, errors=[FieldError("?cursor", str(error))]) from None
        return Page([one.job for one in found.jobs], found.next_cursor)

    async def redeliver(
        self, history: History, tenant: Tenant, webhook_id: str, delivery: Job | None, caller: TraceContext
    ) -> Job:
        """Submit a delivery once more: the same event and body, to the present URL, signed with the present secrets."""
        endpoint = await self.find(history, tenant, webhook_id)
        tags = dict(delivery.tags or {}) if delivery else {}
        if delivery is None or tags.get("endpoint") != webhook_id:
            raise IngestError(NOT_FOUND, "there is no such delivery of this endpoint")
        try:
            call = msgspec.convert(delivery.payload, WebhookCall)
        except msgspec.ValidationError:
            raise IngestError(WRONG_STATE, "the delivery can no longer be read") from None
        again = {**tags, "redelivery_of": delivery.id}
        return await self._deliver(endpoint, replace(call, url=endpoint.webhook.url), again, caller)

    async def _deliver(self, endpoint: Endpoint, call: WebhookCall, tags: dict[str, str], caller: TraceContext) -> Job:
        signed = sealed(replace(call, endpoint=endpoint.webhook.id, salts=endpoint.salts, seal=None), self._keys)
        tagged = {**tags, "endpoint": endpoint.webhook.id}
        content = msgspec.msgpack.encode({"type": CALL_TYPE, "payload": signed, "tags": tagged})
        return (await self._submitter.submit(endpoint.tenant, content, Encoding.MSGPACK, caller=caller)).job

    def _with_secret(self, endpoint: Endpoint) -> SecretWebhook:
        secret = self._keys.secret(endpoint.webhook.id, endpoint.salts[0].text)
        return SecretWebhook(**asdict(endpoint.webhook), secret=secret)

    def _check(self, url: str) -> None:
        try:
            check_url(url, self._networks)
        except AddressError as error:
            raise IngestError(INVALID_REQUEST, errors=[FieldError("/url", str(error))]) from None

    def _require_key(self) -> None:
        if not self._keys:
            raise IngestError(NO_WEBHOOK_KEY)


def _found(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise _missing()
    return endpoint


def _missing() -> IngestError:
    return IngestError(NOT_FOUND, "there is no such endpoint")
