"""The calls about the audit trail, each written once for both clients."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from millstream.client.flow import ApiFlow
from millstream.client.retrier import Call, Retrier
from millstream_contracts import AuditChain, AuditOutcome, AuditPage, limits

_PATH = "/v1/audit"


class RawAuditPage(Struct, frozen=True):
    """A page of records as JSON values, with the fields that this release does not know: they are hashed too."""

    items: list[dict[str, Any]]
    next_cursor: str | None = None


class AuditApi:
    """The calls about the audit trail."""

    def __init__(self, retrier: Retrier) -> None:
        self._retrier = retrier

    def page(self, query: Mapping[str, str | int | None]) -> ApiFlow[AuditPage]:
        """Read a page of records."""
        return self._retrier.flow(Call(path=_PATH, returns=AuditPage, query=query))

    def raw_page(self, cursor: str | None) -> ApiFlow[RawAuditPage]:
        """Read a page of records from the oldest on, as they were hashed."""
        query = {"order": "oldest", "cursor": cursor, "limit": limits.MAX_PAGE}
        return self._retrier.flow(Call(path=_PATH, returns=RawAuditPage, query=query))

    def chain(self) -> ApiFlow[AuditChain]:
        """Read where the chain of the records begins and ends."""
        return self._retrier.flow(Call(path=f"{_PATH}/chain", returns=AuditChain))


def audit_query(
    *,
    key: str | None,
    action: str | None,
    outcome: AuditOutcome | str | None,
    target: str | None,
    after: datetime | None,
    before: datetime | None,
) -> dict[str, str | None]:
    """Return which records are asked for, as the API takes it."""
    return {
        "key": key,
        "action": action,
        "outcome": None if outcome is None else str(outcome),
        "target": target,
        "after": after.isoformat() if after else None,
        "before": before.isoformat() if before else None,
    }
