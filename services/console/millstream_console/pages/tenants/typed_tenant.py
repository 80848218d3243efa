"""A tenant as it is typed into the form."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from millstream_console.web.visit import Form
from millstream_contracts import NewTenant, RequestLimits, TenantEncryption, TenantInfo

QUOTA_WORDS: Mapping[str, str] = {
    "jobs_waiting": "Jobs that wait",
    "jobs_running": "Jobs that run at once",
    "payload_bytes": "Bytes of one payload",
    "schedules": "Schedules",
    "webhooks": "Endpoints of webhooks",
    "keys": "Keys",
}
LIMIT_WORDS: Mapping[str, str] = {
    "submissions_per_s": "Jobs a second",
    "burst": "Jobs at once",
    "requests_per_s": "Other requests a second",
}

ENCRYPTION_WORDS: Mapping[str, str] = {
    TenantEncryption.INHERIT.value: "As types and the installation say",
    TenantEncryption.ALL.value: "All of its jobs",
}


class TypedTenant(Struct, frozen=True, kw_only=True):
    """What stands in the form; an empty field is without a bound."""

    name: str = ""
    title: str = ""
    quotas: Mapping[str, str] = {}
    limits: Mapping[str, str] = {}
    encryption: str = TenantEncryption.INHERIT.value

    def read(self) -> NewTenant:
        """Return the tenant that it says. Raises: msgspec.ValidationError, which names the field."""
        given = {"name": self.name, "title": self.title, "quotas": _filled(self.quotas), "encryption": self.encryption}
        if limits := _filled(self.limits):
            given["limits"] = limits
        # Not strictly: what was typed is text.
        return msgspec.convert(given, NewTenant, strict=False)


def typed_tenant(form: Form, name: str = "") -> TypedTenant:
    """Return what was typed; `name` is that of a tenant that there is."""
    return TypedTenant(
        name=name or form.text("name"),
        title=form.text("title"),
        quotas={field: form.text(field) for field in QUOTA_WORDS},
        limits={field: form.text(field) for field in LIMIT_WORDS},
        encryption=form.text("encryption") or TenantEncryption.INHERIT.value,
    )


def typed_as(tenant: TenantInfo) -> TypedTenant:
    """Return a tenant as one would type it."""
    limits = tenant.limits or RequestLimits()
    return TypedTenant(
        name=tenant.name,
        title=tenant.title,
        quotas={field: _text(getattr(tenant.quotas, field)) for field in QUOTA_WORDS},
        limits={field: _text(getattr(limits, field)) for field in LIMIT_WORDS},
        encryption=tenant.encryption.value,
    )


def bounds_of(tenant: TenantInfo) -> list[tuple[str, str]]:
    """Return the quotas and limits that a tenant has, each with its word."""
    typed = typed_as(tenant)
    words = {**QUOTA_WORDS, **LIMIT_WORDS}
    return [(words[field], value) for field, value in {**typed.quotas, **typed.limits}.items() if value]


def shown_limits(limits: RequestLimits | None) -> list[tuple[str, str]]:
    """Return the limits that a key or a tenant has, each with its word."""
    given = [(word, _text(getattr(limits, field, None))) for field, word in LIMIT_WORDS.items()]
    return [(word, value) for word, value in given if value]


def arguments_of(tenant: NewTenant) -> dict[str, Any]:
    """Return all but its name as the client takes it when a tenant is changed: what is empty is taken away."""
    given = msgspec.structs.asdict(tenant.quotas)
    return {
        "title": tenant.title,
        "encryption": tenant.encryption,
        "quotas": {field: value for field, value in given.items() if value is not None},
        "limits": tenant.limits or RequestLimits(),
    }


def _filled(fields: Mapping[str, str]) -> dict[str, str]:
    return {field: value for field, value in fields.items() if value}


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
