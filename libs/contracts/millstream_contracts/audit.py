"""The audit trail: who changed what, when, from where, and how it ended; as it crosses processes and is shown."""

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct


def new_audit_id(at: datetime) -> str:
    """Return a fresh id of an action, which sorts by the time of the action."""
    return f"au_{at.astimezone(UTC):%Y%m%d%H%M%S%f}{secrets.token_hex(4)}"


class AuditOutcome(StrEnum):
    """How an action ended."""

    DONE = "done"
    REFUSED = "refused"
    """Answered with a 4xx: nothing has changed."""
    FAILED = "failed"
    """Answered with a 5xx: it may have changed something."""
    UNKNOWN = "unknown"
    """Ingest ended between the begin of the action and its record: it may have changed something."""


class AuditEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One action of a principal, before it has a place in the chain of its tenant."""

    id: str
    """Sorts by the time of its action."""
    tenant: str
    at: datetime
    """When the request came, by the clock of Redis; whole milliseconds."""
    action: str
    """The `operationId` of the route in the API document, or `authenticate` for a credential that was refused."""
    outcome: AuditOutcome
    method: str = ""
    target: str = ""
    """Path of the request."""
    made: str = ""
    """Path of what was made by it."""
    key_id: str = ""
    """Id of the key, or the subject of the token, also of that which a session was signed in with; empty where ingest
    asks for no credentials or knows none."""
    session: str = ""
    """Id of the session; empty for a request without one."""
    issuer: str = ""
    """Issuer of the token; empty for a key."""
    key_name: str = ""
    role: str = ""
    """Empty for scopes of its own."""
    address: str = ""
    """Address of the client, or of the proxy before ingest."""
    user_agent: str = ""
    request_id: str = ""
    """The header `X-Request-Id`, where the client or a proxy sent one."""
    trace_id: str = ""
    status: int = 0
    """HTTP status of the answer; 0 for an outcome that is unknown, and for what did not come over HTTP."""
    problem: str = ""
    """Slug of the problem document of a refusal."""
    detail: str = ""
    """Why a credential or a principal was refused."""
    query: dict[str, str] = {}
    """Query of the request, without secrets."""
    asked: Any = None
    """Body of the request, without payloads, results and secrets."""
    changes: dict[str, Any] = {}
    """Fields of the target that are not what they were: name to `before` and `after`, of which one may be absent."""


class AuditRecord(AuditEntry, frozen=True, kw_only=True, omit_defaults=True):
    """One action, in its place in the chain of its tenant."""

    seq: int
    """Its number in the chain, from 1 without a gap."""
    previous: str
    """The hash of the record before; empty for the first."""
    hash: str
    """SHA-256 of the record without this field, as JSON with sorted keys and without spaces; in hex."""


class AuditPage(Struct, frozen=True, kw_only=True):
    """A page of the trail."""

    items: list[AuditRecord]
    next_cursor: str | None = None


class AuditLink(Struct, frozen=True, kw_only=True):
    """The place of one record in the chain."""

    seq: int
    hash: str


class AuditChain(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the chain of a tenant begins and ends."""

    tenant: str
    cut: AuditLink | None = None
    """The last record that its retention has dropped; absent while the first record is still there."""
    last: AuditLink | None = None
    """The last record in the history; absent without any."""
    head: AuditLink | None = None
    """The last record as Redis has noted it, which the history cannot change; absent where Redis has lost it."""


class AuditFault(Struct, frozen=True, kw_only=True):
    """A place where the chain does not hold."""

    seq: int
    detail: str


class AuditVerification(Struct, frozen=True, kw_only=True):
    """What a look at the whole chain has found."""

    records: int
    last: AuditLink | None = None
    """To be kept elsewhere, and compared at the next verification."""
    faults: list[AuditFault] = []

    @property
    def is_whole(self) -> bool:
        """Return whether nothing was altered, removed or inserted."""
        return not self.faults
