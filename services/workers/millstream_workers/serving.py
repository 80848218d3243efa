"""Which tenants a worker serves: every one, or those that its settings name."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from millstream_contracts import DEFAULT_TENANT, Queue, Tenant
from millstream_streams import ALL_TENANTS


class Served(Struct, frozen=True):
    """The tenants whose jobs a worker takes."""

    named: tuple[Tenant, ...] = ()
    """Empty: every tenant, also one that is made later."""

    @property
    def first(self) -> Tenant:
        """Return the tenant for which the worker registers before all others."""
        return self.named[0] if self.named else DEFAULT_TENANT

    @property
    def others(self) -> tuple[str, ...]:
        """Return the further ones, in the words of the registry."""
        return self.named[1:] if self.named else (ALL_TENANTS,)

    @property
    def known(self) -> Sequence[Tenant]:
        """Return those that are known from the start; of every tenant, the operator's own."""
        return self.named or (DEFAULT_TENANT,)

    def serves(self, tenant: Tenant) -> bool:
        """Return whether a tenant is one of them."""
        return not self.named or tenant in self.named

    def among(self, queues: Iterable[Queue]) -> list[Queue]:
        """Return the queues of these tenants."""
        return [queue for queue in queues if self.serves(queue.tenant)]
