"""An endpoint as services know it, and which events it gets."""

from fnmatch import fnmatchcase

from msgspec import Struct

from millstream_contracts import Event, Queue, Tenant, Webhook
from millstream_webhooks.call import CALL_TYPE, Salt


class Endpoint(Struct, frozen=True):
    """An endpoint of a tenant, with what its secrets are derived from."""

    tenant: Tenant
    webhook: Webhook
    salts: list[Salt]
    """The present one first."""

    def wants_queue(self, queue: Queue) -> bool:
        """Whether events of a queue may go here. Those of deliveries never do, or each would cause the next."""
        if queue.tenant != self.tenant or queue.type == CALL_TYPE or self.webhook.disabled_at is not None:
            return False
        return any(fnmatchcase(queue.type, pattern) for pattern in self.webhook.types)

    def wants(self, event: Event) -> bool:
        """Whether an event of such a queue goes here: one of its words, since it was made or enabled again."""
        since = self.webhook.enabled_at or self.webhook.created_at
        return event.kind in self.webhook.events and event.at_ms >= since.timestamp() * 1000
