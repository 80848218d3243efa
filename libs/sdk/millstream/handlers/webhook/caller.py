"""Signs and sends the calls of a worker process."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from opentelemetry import propagate, trace

from millstream.handlers.settings import WebhookSettings
from millstream.handlers.webhook.rooms import ReceiverRooms
from millstream.outgoing.guarded_client import Answer, GuardedClient
from millstream_webhooks import WebhookCall, WebhookKeys, parse_networks, signature_headers, signing_secrets

_OWN_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
        "keep-alive", "proxy-authorization", "trailer", "transfer-encoding", "upgrade", "webhook-id",
        "webhook-signature", "webhook-timestamp",
    }
)  # fmt: skip
"""Headers that frame a call or sign it."""

_encode = msgspec.json.Encoder().encode


class WebhookCaller:
    """What `webhook.call` shares within a worker process: the guarded client, and the keys to sign with."""

    def __init__(
        self,
        settings: WebhookSettings | None = None,
        *,
        client: GuardedClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`client` takes the place of one with these settings; `clock` gives Unix seconds."""
        settings = settings or WebhookSettings()
        self._keys = WebhookKeys([key for key in (settings.key, settings.key_before) if key])
        self._client = client or GuardedClient(parse_networks(settings.networks))
        self._clock = clock
        self._rooms = ReceiverRooms()

    async def send(self, call: WebhookCall, job_id: str) -> Answer:
        """Send a call, signed if it asks for that.

        Raises: AddressError, SealError, NoAnswerError; Snooze, while too many calls to the receiver are under way.
        """
        with self._rooms.entered(call.url.partition("://")[2].partition("/")[0]):
            return await self._send(call, job_id)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(self, call: WebhookCall, job_id: str) -> Answer:
        body = _encode(call.body)
        now_s = self._clock()
        secrets = signing_secrets(call, self._keys, round(now_s * 1000))
        headers = {
            "Content-Type": call.content_type,
            "User-Agent": "Millstream",
            **_chosen(call),
            **signature_headers(call.event_id or job_id, int(now_s), body, secrets),
        }
        with trace.get_tracer(__name__).start_as_current_span("POST", kind=trace.SpanKind.CLIENT) as span:
            span.set_attributes(_attributes(call))
            propagate.inject(headers)
            answer = await self._client.post(call.url, body, headers)
            span.set_attribute("http.response.status_code", answer.status)
        return answer


def _chosen(call: WebhookCall) -> dict[str, str]:
    """Return the headers of the payload, without those that it cannot set."""
    return {name: value for name, value in call.headers.items() if name.lower() not in _OWN_HEADERS}


def _attributes(call: WebhookCall) -> dict[str, Any]:
    # Not the path or the query, which may hold what only the receiver should know.
    scheme, _, rest = call.url.partition("://")
    return {"http.request.method": "POST", "url.scheme": scheme, "server.address": rest.partition("/")[0]}
