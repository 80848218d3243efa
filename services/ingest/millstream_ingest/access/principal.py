"""Who asks, on behalf of which tenant, and what they may do."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    GRANTABLE,
    OPERATOR_SCOPES,
    PrincipalInfo,
    RequestLimits,
    Role,
    Scope,
    Tenant,
    TenantState,
    moment,
)
from millstream_streams import StoredTenant

__all__ = ["ADMINISTRATOR", "ANYONE", "Principal", "SignIn", "bounded", "within_tenant"]


class SignIn(Struct, frozen=True, kw_only=True):
    """What an ID token has for the session that it opens."""

    scopes: frozenset[Scope]
    role: Role | None
    nonce: str


_JOBS_SUBMIT = Scope.JOBS_SUBMIT


class Principal(Struct, frozen=True, kw_only=True):
    """Who makes a request."""

    tenant: Tenant = DEFAULT_TENANT
    """The tenant of the request. It comes from the credential alone, never from a body, a path or another header."""
    scopes: frozenset[Scope]
    role: Role | None = None
    """None for scopes that are those of no role."""
    key_id: str = ""
    """Id of the key, or of the session; empty for a token, and where no credentials are asked for."""
    owner: str = ""
    """Id of the first key in the line of successors, or a digest of the subject of a token; empty as above."""
    name: str = ""
    expires_at_ms: int | None = None
    is_suspended: bool = False
    """Whether the tenant may submit nothing, so that the scope for it is not among the scopes."""
    limits: RequestLimits | None = None
    """Those of the credential itself, shared with all of the same owner."""
    subject: str = ""
    """The subject of a token, also of that which a session was opened with; empty for a key."""
    issuer: str = ""
    """The issuer of the token."""
    signed_by: str = ""
    """Thumbprint of the key that has signed the token."""
    types: tuple[str, ...] = ()
    """Patterns of the job types that a key is narrowed to; empty for all."""
    networks: tuple[str, ...] = ()
    """Networks from which a key works; empty for all."""
    session_of: str = ""
    """What was signed in with, as `credential` says it; empty for a request without a session."""
    email: str = ""
    """Of a person who signs in, or has signed in, with an ID token."""
    sign_in: SignIn | None = None
    """Of an ID token, whose own scopes do nothing but open a session."""

    @property
    def credential(self) -> str:
        """Return what answers for the request, also where it is made with a session: a key's id, or who has a token."""
        of_token = f"{self.issuer} {self.subject}" if self.issuer else ""
        return self.session_of or self.key_id or of_token

    @property
    def may_own(self) -> bool:
        """Return whether jobs can be its own, which it may read and cancel without the scopes for all jobs."""
        # An ID token reads nothing, whatever its tenant may do.
        return bool(self.owner) and self.sign_in is None and (_JOBS_SUBMIT in self.scopes or self.is_suspended)

    @property
    def is_operator(self) -> bool:
        """Return whether the tenant is the operator's own, which sees the installation as a whole."""
        return self.tenant == DEFAULT_TENANT

    def may(self, scope: Scope) -> bool:
        """Return whether a route that needs this scope may be used."""
        return scope in self.scopes

    @property
    def spoken(self) -> str:
        """Return what refusals call the principal."""
        if self.session_of:
            return f"the session `{self.key_id}`"
        if self.issuer:
            return "the token"
        return f"the key `{self.key_id}`" if self.key_id else "the request"

    @property
    def info(self) -> PrincipalInfo:
        """Return what is told to the principal itself."""
        return PrincipalInfo(
            tenant=self.tenant,
            scopes=[scope for scope in GRANTABLE if scope in self.scopes],
            role=self.role,
            key_id=None if self.issuer else self.session_of or self.key_id or None,
            name=self.name,
            expires_at=None if self.expires_at_ms is None else moment(self.expires_at_ms),
            limits=self.limits,
            subject=self.subject or None,
            issuer=self.issuer or None,
            types=list(self.types),
            networks=list(self.networks),
            session_id=self.key_id if self.session_of else None,
            email=self.email or None,
            owner=self.owner or None,
        )


def within_tenant(scopes: frozenset[Scope], tenant: str) -> frozenset[Scope]:
    """Return those of some scopes that count in a tenant."""
    return scopes if tenant == DEFAULT_TENANT else scopes - OPERATOR_SCOPES


def bounded(principal: Principal, tenants: Mapping[Tenant, StoredTenant]) -> Principal:
    """Return a principal without what its tenant may not do, whatever its credential says.

    A tenant that is not known may do nothing: it was deleted.
    """
    tenant, scopes = tenants.get(principal.tenant), within_tenant(principal.scopes, principal.tenant)
    if tenant is None or tenant.state == TenantState.DELETING:
        scopes = frozenset({Scope.PUBLIC})
    elif not tenant.is_active:
        return replace(principal, scopes=scopes - {Scope.JOBS_SUBMIT}, is_suspended=True)
    return principal if scopes == principal.scopes else replace(principal, scopes=scopes)


ANYONE = Principal(scopes=frozenset({Scope.PUBLIC}))
"""The principal of public routes, which read no credentials."""

ADMINISTRATOR = Principal(scopes=frozenset(Scope), role=Role.ADMIN)
"""The principal of every request where ingest asks for no credentials."""
