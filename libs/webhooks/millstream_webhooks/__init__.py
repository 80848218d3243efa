"""What services share about webhooks: calls, secrets, signatures, bodies, addresses. No I/O happens here."""

from millstream_webhooks.addresses import Address, Network, judge, parse_address, parse_networks
from millstream_webhooks.call import CALL_TYPE, Salt, WebhookCall, sealed, signing_secrets
from millstream_webhooks.cloud_event import CONTENT_TYPE, EVENT_PREFIX, cloud_event
from millstream_webhooks.endpoint import Endpoint
from millstream_webhooks.errors import AddressError, SealError, WebhookError
from millstream_webhooks.schedule import GONE_REASON, MAX_PAUSE_S, PAUSES_WITHIN_S, RETRY_DELAYS_S
from millstream_webhooks.secrets import CALLBACKS, MIN_KEY_CHARS, NOTICES, SECRET_PREFIX, WebhookKeys, new_salt
from millstream_webhooks.signature import signature_headers
from millstream_webhooks.target import NETWORKS_SETTING, check_form, check_url, refusal

__all__ = [
    "CALLBACKS",
    "CALL_TYPE",
    "CONTENT_TYPE",
    "EVENT_PREFIX",
    "GONE_REASON",
    "MAX_PAUSE_S",
    "MIN_KEY_CHARS",
    "NETWORKS_SETTING",
    "NOTICES",
    "PAUSES_WITHIN_S",
    "RETRY_DELAYS_S",
    "SECRET_PREFIX",
    "Address",
    "AddressError",
    "Endpoint",
    "Network",
    "Salt",
    "SealError",
    "WebhookCall",
    "WebhookError",
    "WebhookKeys",
    "check_form",
    "check_url",
    "cloud_event",
    "judge",
    "new_salt",
    "parse_address",
    "parse_networks",
    "refusal",
    "sealed",
    "signature_headers",
    "signing_secrets",
]
