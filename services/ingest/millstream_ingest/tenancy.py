"""Whose request it is. The one place that authentication will replace."""

from typing import Any

from litestar import Request

from millstream_contracts import DEFAULT_TENANT, Tenant


def tenant_of(request: Request[Any, Any, Any]) -> Tenant:  # noqa: ARG001 - its credentials will decide
    """Return the tenant on whose behalf a request acts; never anything that its body or path says."""
    return DEFAULT_TENANT
