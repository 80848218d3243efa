"""Makes the principal of a verified token: what its claims mean, as the operator has said for its issuer."""

import hashlib
import re
from base64 import urlsafe_b64encode
from typing import Any

from millstream_contracts import NAME_PATTERN, ROLE_SCOPES, Role, Scope, Tenant
from millstream_ingest.access.principal import Principal, SignIn
from millstream_ingest.access.tokens.id_token import email_of, name_of
from millstream_ingest.access.tokens.token_form import Claims
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import FORBIDDEN
from millstream_ingest.jwt_issuers import Claim, JwtIssuer

_EMAIL = "email"
_TENANT = re.compile(NAME_PATTERN)
_ALWAYS = frozenset({Scope.PUBLIC, Scope.AUTHENTICATED})


class UngrantedError(IngestError):
    """A token is valid, and has no tenant or no role here."""

    def __init__(self, issuer: JwtIssuer, claims: Claims, why: str) -> None:
        super().__init__(FORBIDDEN, f"the token grants nothing here: {why}")
        self.principal = Principal(scopes=frozenset(), subject=claims.sub, issuer=issuer.issuer, name=name_of(claims))
        """Whose token it is."""


def principal_of(issuer: JwtIssuer, claims: Claims, signed_by: str) -> Principal:
    """Return the principal of a token. Raises: IngestError (403), where it has no tenant or no role here."""
    scopes = _scopes_of(issuer, claims)
    return Principal(
        tenant=_tenant_of(issuer, claims),
        scopes=scopes | _ALWAYS,
        role=_role_of(scopes),
        owner=owner_of(issuer.issuer, claims.sub),
        name=claims.sub,
        subject=claims.sub,
        issuer=issuer.issuer,
        signed_by=signed_by,
        expires_at_ms=int(claims.exp * 1000),
    )


def person_of(issuer: JwtIssuer, claims: Claims, nonce: str) -> Principal:
    """Return the principal of an ID token, who may only open a session. Raises: IngestError (403), as above."""
    granted = _scopes_of(issuer, claims)
    return Principal(
        tenant=_tenant_of(issuer, claims),
        scopes=_ALWAYS,
        owner=owner_of(issuer.issuer, claims.sub),
        name=name_of(claims),
        subject=claims.sub,
        issuer=issuer.issuer,
        expires_at_ms=int(claims.exp * 1000),
        email=email_of(claims),
        sign_in=SignIn(scopes=granted, role=_role_of(granted), nonce=nonce),
    )


def owner_of(issuer: str, subject: str) -> str:
    """Return the short name of a subject of an issuer, where a key has the id of the first key of its line."""
    digest = hashlib.sha256(f"{issuer}\n{subject}".encode()).digest()
    return urlsafe_b64encode(digest[:18]).decode()


def _scopes_of(issuer: JwtIssuer, claims: Claims) -> frozenset[Scope]:
    if issuer.roles_claim == _EMAIL and claims.all.get("email_verified") is not True:
        # Some providers let people write any address there: a role by address would be anyone's.
        raise UngrantedError(
            issuer, claims, "its `email_verified` is not true, so its claim `email` counts for nothing"
        )
    granted = frozenset[Scope]().union(*(issuer.scopes_of(value) for value in _texts(_at(claims, issuer.roles_claim))))
    if not granted:
        looked_for = ", ".join(f"`{value}`" for value in issuer.roles)
        why = f"its claim {_spoken(issuer.roles_claim)} has none of {looked_for}"
        raise UngrantedError(issuer, claims, why)
    return granted


def _tenant_of(issuer: JwtIssuer, claims: Claims) -> Tenant:
    if issuer.tenant_claim is None:
        return Tenant(issuer.tenant)
    named = _at(claims, issuer.tenant_claim)
    is_name = isinstance(named, str) and _TENANT.match(named) is not None
    if not is_name or (issuer.tenants and named not in issuer.tenants):
        why = f"its claim {_spoken(issuer.tenant_claim)} names no tenant that its issuer may name"
        raise UngrantedError(issuer, claims, why)
    return Tenant(named)


def _role_of(scopes: frozenset[Scope]) -> Role | None:
    return next((role for role, granted in ROLE_SCOPES.items() if granted == scopes), None)


def _at(claims: Claims, claim: Claim) -> Any:
    found: Any = claims.all
    for name in [claim] if isinstance(claim, str) else claim:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _spoken(claim: Claim) -> str:
    return f"`{claim}`" if isinstance(claim, str) else " in ".join(f"`{name}`" for name in reversed(claim))
