"""Who asks, on behalf of which tenant, and what they may do. The one place that authentication will fill in."""

from enum import StrEnum

from msgspec import Struct

from millstream_contracts import DEFAULT_TENANT, Tenant
from millstream_ingest.http.headers import Headers


class Scope(StrEnum):
    """What a route needs the principal to be allowed to do."""

    PUBLIC = "public"
    """Nothing: anyone who reaches the port may ask."""
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


class Principal(Struct, frozen=True):
    """Who makes a request."""

    tenant: Tenant
    """The tenant of the request. It comes from the credential alone, never from a body, a path or another header."""
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Return whether a route that needs this scope may be used."""
        return scope in self.scopes


_UNRESTRICTED = Principal(DEFAULT_TENANT, frozenset(Scope))


def principal_of(headers: Headers) -> Principal:  # noqa: ARG001 - its credentials will decide
    """Return who makes a request with these headers: the tenant `default`, which may do everything."""
    return _UNRESTRICTED
