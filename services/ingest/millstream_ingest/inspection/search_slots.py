"""Bounds how many searches run at once, so that they take neither all connections nor all of PostgreSQL."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from millstream_contracts import Tenant
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import TOO_MANY_SEARCHES

AT_ONCE = 4
AT_ONCE_OF_A_TENANT = 2


class SearchSlots:
    """The searches of one process."""

    def __init__(self, at_once: int = AT_ONCE, at_once_of_a_tenant: int = AT_ONCE_OF_A_TENANT) -> None:
        self._at_once, self._at_once_of_a_tenant = at_once, at_once_of_a_tenant
        self._running: Counter[Tenant] = Counter()

    @contextmanager
    def taken(self, tenant: Tenant) -> Iterator[None]:
        """Take a slot while the block lasts. Raises: IngestError (429), when none is free."""
        if self._running.total() >= self._at_once or self._running[tenant] >= self._at_once_of_a_tenant:
            raise IngestError(TOO_MANY_SEARCHES)
        self._running[tenant] += 1
        try:
            yield
        finally:
            self._running[tenant] -= 1
            self._running = +self._running  # tenants without a search are left out
