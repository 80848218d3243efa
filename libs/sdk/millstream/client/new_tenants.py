"""Tenants as the calls of clients describe them."""

from collections.abc import Mapping

import msgspec

from millstream_contracts import NewTenant, RequestLimits, TenantChange, TenantEncryption, TenantQuotas


def new_tenant(
    name: str,
    title: str,
    quotas: Mapping[str, int] | None,
    limits: RequestLimits | None,
    encryption: TenantEncryption | str,
) -> NewTenant:
    """Return a tenant to be made. Raises: ValueError, for an unknown quota or encryption."""
    return NewTenant(
        name=name, title=title, quotas=_quotas(quotas or {}), limits=limits, encryption=_encryption(encryption)
    )


def tenant_change(
    title: str | None,
    quotas: Mapping[str, int] | None,
    limits: RequestLimits | None,
    encryption: TenantEncryption | str | None,
) -> TenantChange:
    """Return what changes of a tenant; None leaves it as it is. Raises: ValueError, as :func:`new_tenant`."""
    return TenantChange(
        title=title,
        quotas=None if quotas is None else _quotas(quotas),
        limits=limits,
        encryption=None if encryption is None else _encryption(encryption),
    )


def _encryption(word: TenantEncryption | str) -> TenantEncryption:
    if word not in set(TenantEncryption):
        raise ValueError(f"encryption: expected {' or '.join(TenantEncryption)}, not {word!r}")
    return TenantEncryption(word)


def _quotas(quotas: Mapping[str, int]) -> TenantQuotas:
    try:
        return msgspec.convert(dict(quotas), TenantQuotas)
    except msgspec.ValidationError as error:
        raise ValueError(f"quotas: {error}") from None
