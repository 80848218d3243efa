"""Knows what is stored of the tenants, at most FRESH_FOR_S old unless Redis is away."""

import time

from millstream_contracts import Tenant
from millstream_streams import StoredTenant, StoreUnavailableError, Tenants

FRESH_FOR_S = 2.0


class TenantBook:
    """What several duties of one dispatcher ask of the tenants."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._known: dict[Tenant, StoredTenant] | None = None
        self._fresh_until = 0.0

    async def all(self) -> dict[Tenant, StoredTenant]:
        """Return the tenants by name. Raises: StoreUnavailableError, where they were never read and cannot be now."""
        if self._known is None or time.monotonic() >= self._fresh_until:
            try:
                self._known = await self._tenants.all()
            except StoreUnavailableError:
                if self._known is None:
                    raise
            self._fresh_until = time.monotonic() + FRESH_FOR_S
        return self._known

    async def inactive(self) -> frozenset[Tenant]:
        """Return the tenants no job of which may start. Raises: as :meth:`all`."""
        return frozenset(name for name, stored in (await self.all()).items() if not stored.is_active)
