"""Knows from the tenants in memory whose jobs are all stored encrypted, so that no submission waits for Redis."""

from collections.abc import Callable, Mapping

from millstream_contracts import Tenant
from millstream_streams import StoredTenant


class HeldTenants:
    """The tenants with `encryption: all`, as the codec asks for them (`EncryptedTenants`)."""

    def __init__(self, tenants: Callable[[], Mapping[Tenant, StoredTenant]]) -> None:
        """`tenants` returns what is held; requests are refused while that is stale."""
        self._tenants = tenants

    def __contains__(self, tenant: str) -> bool:
        """Return whether a tenant is one of them."""
        stored = self._tenants().get(Tenant(tenant))
        return stored is not None and stored.encrypts_all

    async def look(self, tenant: str) -> bool:
        """Return whether a tenant is one of them."""
        return tenant in self
