"""Makes a first key of the API in Redis, for an operator who has rights there and no key yet."""

import getpass
import socket
from datetime import timedelta

from msgspec.structs import replace

from millstream_cli.settings import DoctorSettings
from millstream_contracts import (
    DEFAULT_TENANT,
    ROLE_SCOPES,
    AuditEntry,
    AuditOutcome,
    Role,
    SecretApiKey,
    mint_key,
    moment,
    new_audit_id,
)
from millstream_streams import KeyChange, StoredApiKey, StoreError, open_broker

MADE_BY = "bootstrap"


async def make_first_key(settings: DoctorSettings, name: str, expires_in: timedelta | None) -> SecretApiKey:
    """Store a key of the role admin, and return it with its secret. Raises: StoreError."""
    async with open_broker(settings.redis, namespace=settings.namespace, patience_s=0.5) as broker:
        now_ms, minted = round((await broker.now()).timestamp() * 1000), mint_key()
        expires_at_ms = None if expires_in is None else now_ms + round(expires_in.total_seconds() * 1000)
        stored = StoredApiKey(
            digest=minted.digest,
            tenant=DEFAULT_TENANT,
            name=name,
            role=Role.ADMIN,
            created_at_ms=now_ms,
            created_by=MADE_BY,
            expires_at_ms=expires_at_ms,
        )
        action = _action(minted.id, name, now_ms)
        if not await broker.audit_trail.begin_action(action, is_stored=True):
            raise StoreError("too many audit records wait in Redis for the history, so nothing can be changed")
        await broker.api_keys.put_keys([KeyChange(minted.id, None, stored)])
        await broker.audit_trail.end_action(replace(action, outcome=AuditOutcome.DONE), is_stored=True)
    return SecretApiKey(
        id=minted.id,
        name=name,
        role=Role.ADMIN,
        scopes=sorted(ROLE_SCOPES[Role.ADMIN]),
        created_at=moment(now_ms),
        created_by=MADE_BY,
        expires_at=None if expires_at_ms is None else moment(expires_at_ms),
        key=minted.text,
    )


def _action(key_id: str, name: str, now_ms: int) -> AuditEntry:
    """Return what the audit trail says of the making of a first key: its user and host stand for the principal."""
    at = moment(now_ms)
    return AuditEntry(
        id=new_audit_id(at),
        tenant=DEFAULT_TENANT,
        at=at,
        action="bootstrapKey",
        outcome=AuditOutcome.UNKNOWN,
        target="/v1/keys",
        made=f"/v1/keys/{key_id}",
        key_id=MADE_BY,
        key_name=_user(),
        role=Role.ADMIN,
        address=socket.gethostname(),
        asked={"name": name},
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""  # a number without a name, as in many containers
