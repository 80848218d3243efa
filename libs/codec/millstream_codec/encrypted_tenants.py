"""Knows the tenants all of whose jobs are stored encrypted, whatever their types say."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

LOOKS_AGAIN_AFTER_S = 5.0
"""How long a process goes on with what it knows of a tenant."""


class EncryptedTenants(Protocol):
    """The tenants with `encryption: all`, as far as this process knows."""

    async def look(self, tenant: str) -> bool:
        """Return whether a tenant is one of them, asking where what is known is old. Raises: what the store raises."""
        ...

    def __contains__(self, tenant: str) -> bool:
        """Return whether a tenant is one of them, by the last look."""
        ...


class AskedTenants:
    """Asks the store for each tenant, at most every :data:`LOOKS_AGAIN_AFTER_S`. For one event loop.

    Where the store does not answer, nothing of the tenant is stored: it may be one whose jobs are to be encrypted.
    """

    def __init__(self, ask: Callable[[str], Awaitable[bool]], now: Callable[[], float] = time.monotonic) -> None:
        """`now` gives seconds of a clock that does not go back."""
        self._ask = ask
        self._now = now
        self._known_until: dict[str, float] = {}
        """By tenant, on the clock `now`."""
        self._encrypted: set[str] = set()

    def __contains__(self, tenant: str) -> bool:
        """As :meth:`EncryptedTenants.__contains__`."""
        return tenant in self._encrypted

    async def look(self, tenant: str) -> bool:
        """As :meth:`EncryptedTenants.look`."""
        begun = self._now()
        if self._known_until.get(tenant, 0.0) <= begun:
            is_encrypted = await self._ask(tenant)
            # What is true at the end of a call was true at its begin at the latest.
            self._known_until[tenant] = begun + LOOKS_AGAIN_AFTER_S
            (self._encrypted.add if is_encrypted else self._encrypted.discard)(tenant)
        return tenant in self._encrypted
