"""Tenants: who shares one Millstream without seeing the others, as the API takes and shows them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from millstream_contracts import limits as bounds
from millstream_contracts.access import RequestLimits
from millstream_contracts.ids import NAME_PATTERN

EVERY_TENANT = "all"
"""What says in settings that a worker serves every tenant; none is named so."""

TenantName = Annotated[str, Meta(pattern=NAME_PATTERN)]
TenantTitle = Annotated[str, Meta(max_length=bounds.MAX_TENANT_TITLE_CHARS)]
SuspensionReason = Annotated[str, Meta(max_length=bounds.MAX_PAUSE_REASON_CHARS)]
Quota = Annotated[int, Meta(ge=0, le=bounds.MAX_QUOTA)]


class TenantState(StrEnum):
    """Whether a tenant may use Millstream."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """It submits nothing, and no job of it starts; what runs goes on, and all can be read."""
    DELETING = "deleting"
    """Dispatchers remove what it has. It has no keys any more."""


class TenantEncryption(StrEnum):
    """Which jobs of a tenant are stored encrypted."""

    INHERIT = "inherit"
    """As the installation says: those of types that declare it, or all with `MILLSTREAM_ENCRYPT=all`."""
    ALL = "all"
    """All, whatever their types say."""


class TenantQuotas(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The most that a tenant may have at once; what is absent has no limit of its own."""

    jobs_waiting: Quota | None = None
    """Jobs that are queued, scheduled or blocked; each ingest counts them now and then, so it is not exact."""
    jobs_running: Quota | None = None
    """Jobs that run; those above it wait. Each of its queues has a part of it, so it is never exceeded."""
    payload_bytes: Quota | None = None
    """Bytes of the payload of one job, as MessagePack."""
    schedules: Quota | None = None
    webhooks: Quota | None = None
    keys: Quota | None = None


class NewTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tenant to be made."""

    name: TenantName
    title: TenantTitle = ""
    quotas: TenantQuotas = TenantQuotas()
    limits: RequestLimits | None = None
    encryption: TenantEncryption = TenantEncryption.INHERIT


class TenantChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What changes of a tenant; what is left out stays."""

    title: TenantTitle | None = None
    quotas: TenantQuotas | None = None
    """All of them: a quota that is not given is removed."""
    limits: RequestLimits | None = None
    """All of them, as of the quotas."""
    encryption: TenantEncryption | None = None
    """What is stored already stays as it is."""


class TenantSuspension(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Why a tenant is suspended."""

    reason: SuspensionReason = ""


class TenantInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant as it is shown."""

    name: str
    title: str = ""
    state: TenantState
    created_at: datetime | None = None
    """None for the operator's own, which is there from the start."""
    created_by: str = ""
    """Id of the key that made it."""
    changed_at: datetime | None = None
    """When its state changed last."""
    reason: str = ""
    """Why it is suspended."""
    quotas: TenantQuotas = TenantQuotas()
    limits: RequestLimits | None = None
    deletion: str | None = None
    """Id of the operation that deletes it."""
    encryption: TenantEncryption = TenantEncryption.INHERIT
    jobs_running: int | None = None
    """How many of its jobs run, where that has a quota; only where one tenant is asked for."""


class TenantPage(Struct, frozen=True, kw_only=True):
    """A page of tenants, by name."""

    items: list[TenantInfo]
    next_cursor: str | None = None
