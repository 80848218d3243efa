"""Who gets an event: an endpoint, or the callback of one job."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from millstream_contracts import Callback, Event, Queue, Tenant, Webhook
from millstream_webhooks import CALL_TYPE, CALLBACKS, Salt


class Endpoint(Struct, frozen=True):
    """An endpoint of a tenant, with what its secrets are derived from."""

    tenant: Tenant
    webhook: Webhook
    salts: list[Salt]

    def wants_queue(self, queue: Queue) -> bool:
        """Whether events of a queue may go here. Those of deliveries never do, or each would cause the next."""
        if queue.tenant != self.tenant or queue.type == CALL_TYPE or self.webhook.disabled_at is not None:
            return False
        return any(fnmatchcase(queue.type, pattern) for pattern in self.webhook.types)

    def wants(self, event: Event) -> bool:
        """Whether an event of such a queue goes here: one of its words, since the endpoint was made."""
        return event.kind in self.webhook.events and event.at_ms >= self.webhook.created_at.timestamp() * 1000


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
