"""Who gets an event: an endpoint, or the callback of one job."""

from collections.abc import Sequence

from msgspec import Struct

from millstream_contracts import Callback, Event, Tenant
from millstream_webhooks import CALLBACKS, Endpoint, Salt


class Recipient(Struct, frozen=True):
    """Where one event goes, and how its call is signed."""

    endpoint: str
    """The id of the endpoint, or CALLBACKS."""
    url: str
    salts: list[Salt]
    whole: bool
    """Whether the call has payload and result."""

    @classmethod
    def of_endpoint(cls, endpoint: Endpoint) -> "Recipient":
        """Return an endpoint as a recipient."""
        return cls(endpoint.webhook.id, endpoint.webhook.url, endpoint.salts, endpoint.webhook.payloads)

    @classmethod
    def of_callback(cls, callback: Callback, tenant: Tenant) -> "Recipient":
        """Return a callback as a recipient. Those of a tenant share a secret."""
        return cls(CALLBACKS, callback.url, [Salt(tenant)], whole=True)


def recipients_of(
    event: Event, endpoints: Sequence[Endpoint], callback: Callback | None, tenant: Tenant
) -> list[Recipient]:
    """Return who gets an event of a job with this callback."""
    found = [Recipient.of_endpoint(endpoint) for endpoint in endpoints if endpoint.wants(event)]
    if callback is not None and event.kind in callback.events:
        found.append(Recipient.of_callback(callback, tenant))
    return found
