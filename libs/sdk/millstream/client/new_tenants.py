"""Tenants as the calls of clients describe them."""

from collections.abc import Mapping

import msgspec

from millstream_contracts import NewTenant, RequestLimits, TenantChange, TenantQuotas


def new_tenant(name: str, title: str, quotas: Mapping[str, int] | None, limits: RequestLimits | None) -> NewTenant:
    """Return a tenant to be made. Raises: ValueError, for an unknown quota."""
    return NewTenant(name=name, title=title, quotas=_quotas(quotas or {}), limits=limits)


def tenant_change(title: str | None, quotas: Mapping[str, int] | None, limits: RequestLimits | None) -> TenantChange:
    """Return what changes of a tenant; None leaves it as it is. Raises: ValueError, for an unknown quota."""
    return TenantChange(title=title, quotas=None if quotas is None else _quotas(quotas), limits=limits)


def _quotas(quotas: Mapping[str, int]) -> TenantQuotas:
    try:
        return msgspec.convert(dict(quotas), TenantQuotas)
    except msgspec.ValidationError as error:
        raise ValueError(f"quotas: {error}") from None
