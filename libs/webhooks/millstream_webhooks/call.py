"""The payload of `webhook.call`: one call, and for which endpoint it is signed."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from millstream_contracts import MAX_URL_CHARS
from millstream_webhooks.errors import SealError
from millstream_webhooks.secrets import WebhookKeys

CALL_TYPE = "webhook.call"
"""The job type whose handler makes the calls."""

HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")]
HeaderValue = Annotated[str, Meta(pattern=r"^[\t -~]*$", max_length=1024)]


class Salt(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a secret of an endpoint is derived with."""

    text: str
    until_ms: int | None = None
    """Unix time after which it signs no more; absent for the present one."""


class WebhookCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A POST of one JSON value."""

    url: Annotated[str, Meta(max_length=MAX_URL_CHARS)]
    body: Any = None
    """The JSON value; the same bytes at each attempt."""
    content_type: HeaderValue = "application/json"
    headers: Annotated[dict[HeaderName, HeaderValue], Meta(max_length=20)] = {}
    """Further headers. Those that frame the request or sign it cannot be set."""
    event_id: Annotated[str, Meta(pattern=r"^[\w.-]{1,128}$")] | None = None
    """What receivers know repetitions by, sent as `webhook-id`. By default it is the id of the job."""
    endpoint: Annotated[str, Meta(pattern=r"^[\w.:-]{1,128}$")] | None = None
    """For which endpoint the call is signed. Only ingest and the dispatcher can ask for it, by the seal."""
    salts: Annotated[list[Salt], Meta(max_length=8)] = field(default_factory=list)
    seal: Annotated[str, Meta(max_length=64)] | None = None


def sealed(call: WebhookCall, keys: WebhookKeys) -> WebhookCall:
    """Return a call with its seal; as it is without a key, and then it is not signed."""
    return replace(call, seal=keys.seal(_content(call))) if keys else call


def signing_secrets(call: WebhookCall, keys: WebhookKeys, now_ms: int) -> list[bytes]:
    """Return the secrets that sign a call now; none for one that asks for no signature. Raises: SealError."""
    if call.endpoint is None or call.seal is None:
        return []
    if not keys:
        raise SealError("this worker has no MILLSTREAM_WEBHOOK_KEY, with which the call is to be signed")
    if not keys.is_sealed(_content(call), call.seal):
        raise SealError(f"the call is not one of endpoint `{call.endpoint}`: its seal does not fit")
    return keys.secrets(call.endpoint, _valid(call.salts, now_ms))


def _valid(salts: Sequence[Salt], now_ms: int) -> list[str]:
    valid = [salt.text for salt in salts if salt.until_ms is None or salt.until_ms > now_ms]
    # A call from before a rotation that is tried again after the time of both: better an old signature than none.
    return valid or [salt.text for salt in salts[:1]]


def _content(call: WebhookCall) -> Any:
    return msgspec.to_builtins(replace(call, seal=None))
