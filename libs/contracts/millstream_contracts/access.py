"""Who may do what: scopes, the roles that are sets of them, and keys of the API as the API takes and shows them."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from millstream_contracts import limits
from millstream_contracts.ids import DEFAULT_TENANT, NAME_PATTERN
from millstream_contracts.type_patterns import TypePattern


class Scope(StrEnum):
    """What a route needs the principal to be allowed to do."""

    PUBLIC = "public"
    """Nothing: every request that reaches the port, with or without credentials."""
    AUTHENTICATED = "authenticated"
    """Any valid credential, whatever it may do."""
    JOBS_SUBMIT = "jobs:submit"
    JOBS_READ = "jobs:read"
    PAYLOADS_READ = "payloads:read"
    JOBS_MANAGE = "jobs:manage"
    QUEUES_MANAGE = "queues:manage"
    SCHEDULES_MANAGE = "schedules:manage"
    WORKFLOWS_MANAGE = "workflows:manage"
    WEBHOOKS_MANAGE = "webhooks:manage"
    TEMPLATES_MANAGE = "templates:manage"
    KEYS_MANAGE = "keys:manage"
    TENANTS_MANAGE = "tenants:manage"
    AUDIT_READ = "audit:read"


OPERATOR_SCOPES = frozenset({Scope.TENANTS_MANAGE})
"""The scopes that count in the operator's own tenant alone, whatever role a key of another has."""

GRANTABLE: tuple[Scope, ...] = tuple(scope for scope in Scope if scope not in {Scope.PUBLIC, Scope.AUTHENTICATED})
"""The scopes that a key can be given; the others follow from there being a key, or from nothing."""


class Role(StrEnum):
    """A named set of scopes."""

    SUBMITTER = "submitter"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_OPERATOR = frozenset(GRANTABLE) - {Scope.KEYS_MANAGE, Scope.TENANTS_MANAGE, Scope.AUDIT_READ}

ROLE_SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.SUBMITTER: frozenset({Scope.JOBS_SUBMIT}),
    Role.VIEWER: frozenset({Scope.JOBS_READ}),
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(GRANTABLE),
}
"""The scopes of each role."""

ApiRate = Annotated[float, Meta(ge=limits.MIN_API_RATE_PER_S, le=limits.MAX_API_RATE_PER_S)]
ApiBurst = Annotated[int, Meta(ge=1, le=limits.MAX_API_BURST)]


class RequestLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often the API may be asked; what is absent has no limit of its own."""

    submissions_per_s: ApiRate | None = None
    """Jobs that are submitted; each of a request with many counts."""
    burst: ApiBurst | None = None
    """How many of them may come at once. By default those of one second, and at least one."""
    requests_per_s: ApiRate | None = None
    """Requests of every other kind; those of one second may come at once."""


KeyName = Annotated[str, Meta(min_length=1, max_length=limits.MAX_API_KEY_NAME_CHARS)]
Lifetime = Annotated[float, Meta(ge=limits.MIN_API_KEY_TTL_S, le=limits.MAX_API_KEY_TTL_S)]
NetworkText = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]+(/\d{1,3})?$")]
Overlap = Annotated[float, Meta(ge=0.0, le=limits.MAX_API_KEY_OVERLAP_S)]
NonceSecret = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43,128}$")]
SessionLifetime = Annotated[float, Meta(ge=limits.MIN_API_KEY_TTL_S, le=limits.SESSION_TTL_S)]


class NewApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key to be made, with a role or with scopes of its own."""

    name: KeyName
    role: Role | None = None
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(GRANTABLE))] | None = None
    expires_in_s: Lifetime | None = None
    types: Annotated[list[TypePattern], Meta(max_length=limits.MAX_API_KEY_TYPES)] = []
    """Patterns of job types such as `email.*`: the key is for these alone. Empty for all."""
    networks: Annotated[list[NetworkText], Meta(max_length=limits.MAX_API_KEY_NETWORKS)] = []
    """Networks such as `10.0.0.0/8` from which the key works. Empty for all."""
    tenant: Annotated[str, Meta(pattern=NAME_PATTERN)] | None = None
    """The tenant that it is for; only the operator's may name another than its own."""
    limits: RequestLimits | None = None


class ApiKeyChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What changes of a key; what is left out stays."""

    limits: RequestLimits | None = None
    """All of them: a limit that is not given is removed."""


class KeyRotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a key gives way to its successor."""

    overlap_s: Overlap = limits.API_KEY_OVERLAP_S
    """How long the old key still works."""


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as it is shown."""

    id: str
    name: str
    tenant: str = DEFAULT_TENANT
    """On whose behalf it acts."""
    role: Role | None = None
    scopes: list[Scope] = []
    created_at: datetime
    created_by: str = ""
    """Id of the key that made it; `bootstrap` for one that was made at the host."""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """At the grain of a minute."""
    successor: str | None = None
    """Id of the key that takes its place."""
    revoked_at: datetime | None = None
    """Shown once, in the answer to its revocation."""
    types: list[str] = []
    """The job types that it is for, as patterns; empty for all."""
    networks: list[str] = []
    """The networks from which it works; empty for all."""
    limits: RequestLimits | None = None
    """Its own; what they leave out follows the settings of ingest."""


class SecretApiKey(ApiKey, frozen=True, kw_only=True, omit_defaults=True):
    """A key with its secret, which is shown only when it is made."""

    key: str

    def __repr__(self) -> str:
        return f"SecretApiKey(id={self.id!r}, name={self.name!r}, key='***')"


class ApiKeyPage(Struct, frozen=True, kw_only=True):
    """A page of keys, by id."""

    items: list[ApiKey]
    next_cursor: str | None = None


class NewSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A session to be opened with the credential of the request."""

    expires_in_s: SessionLifetime = limits.SESSION_TTL_S
    """How long it works; never longer than the key."""
    nonce_secret: NonceSecret | None = None
    """Of an ID token: what `nonce_of` has made its `nonce` of, so that the token is of no use to those who only see
    it."""


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session as it is shown: a short-lived credential with the rights of the key that it was opened with."""

    id: str
    key_id: str
    """Id of the key that it was opened with; for one of a token, its issuer and subject."""
    name: str
    """Name of that key, or the subject."""
    role: Role | None = None
    scopes: list[Scope] = []
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    """At the grain of a minute."""
    ended_at: datetime | None = None
    """Shown once, in the answer that ends it."""
    subject: str | None = None
    """The subject of the token that it was opened with, and below its issuer; absent for a key."""
    issuer: str | None = None
    email: str | None = None
    """The address that an ID token named."""


class SecretSession(Session, frozen=True, kw_only=True, omit_defaults=True):
    """A session with its token, which is shown only when it is opened."""

    token: str
    """What requests carry in place of a key."""

    def __repr__(self) -> str:
        return f"SecretSession(id={self.id!r}, key_id={self.key_id!r}, token='***')"


class SessionPage(Struct, frozen=True, kw_only=True):
    """A page of sessions, by id."""

    items: list[Session]
    next_cursor: str | None = None


class PrincipalInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asks, as ingest understands the credential of the request."""

    tenant: str
    scopes: list[Scope]
    role: Role | None = None
    key_id: str | None = None
    """Id of the key, also of a session's; absent for a token and its sessions, and where ingest asks for no
    credentials."""
    name: str = ""
    expires_at: datetime | None = None
    limits: RequestLimits | None = None
    """Those of the credential itself."""
    subject: str | None = None
    """The subject of a token, also of that which a session was opened with, and below its issuer."""
    issuer: str | None = None
    types: list[str] = []
    """The job types that the credential is for, as patterns; empty for all."""
    networks: list[str] = []
    """The networks from which it works; empty for all."""
    session_id: str | None = None
    """Id of the session; absent for a request without one."""
    email: str | None = None
    """The address of a person who has signed in with an ID token."""
    owner: str | None = None
    """What `submitted_by` says of the jobs that it submits: the id of the first key in the line of successors, or a
    digest of the issuer and the subject of a token."""


def nonce_of(secret: str) -> str:
    """Return the `nonce` that a sign-in asks an ID token for: the SHA-256 of its secret, in base64url.

    Source: OpenID Connect Core 1.0, section 15.5.2.
    """
    return urlsafe_b64encode(sha256(secret.encode()).digest()).rstrip(b"=").decode()
