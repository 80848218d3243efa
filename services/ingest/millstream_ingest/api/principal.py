"""Whose request it is. The one place that authentication will replace."""

from collections.abc import Mapping
from typing import Any

from millstream_contracts import DEFAULT_TENANT, Tenant


def tenant_of(scope: Mapping[str, Any]) -> Tenant:  # noqa: ARG001 - its credentials will decide
    """Return the tenant on whose behalf a request (an ASGI scope) acts; never what its body or path says."""
    return DEFAULT_TENANT
