"""Endpoints of webhooks, as the API takes and shows them."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from millstream_contracts.callback import ENDS, MAX_URL_CHARS, JobEvent

MAX_DESCRIPTION_CHARS = 200

TypePattern = Annotated[str, Meta(pattern=r"^[a-z0-9.*?-]{1,64}$")]
"""A job type, or a shell pattern of job types."""
TypePatterns = Annotated[list[TypePattern], Meta(min_length=1, max_length=50)]
Events = Annotated[list[JobEvent], Meta(min_length=1, max_length=len(JobEvent))]
EndpointUrl = Annotated[str, Meta(min_length=1, max_length=MAX_URL_CHARS)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_CHARS)]


class NewWebhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An endpoint to be made."""

    url: EndpointUrl
    types: TypePatterns = field(default_factory=lambda: ["*"])
    events: Events = field(default_factory=lambda: list(ENDS))
    payloads: bool = False
    """Whether calls have the payload and the result of the job."""
    description: Description = ""


class WebhookChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What changes of an endpoint; what is left out stays."""

    url: EndpointUrl | None = None
    types: TypePatterns | None = None
    events: Events | None = None
    payloads: bool | None = None
    description: Description | None = None


class Webhook(Struct, frozen=True, kw_only=True):
    """An endpoint."""

    id: str
    url: str
    types: list[str]
    events: list[JobEvent]
    payloads: bool
    description: str
    created_at: datetime
    rotated_at: datetime | None = None
    """When its secret was last replaced."""
    enabled_at: datetime | None = None
    """When it was last enabled again: events from then on go there."""
    disabled_at: datetime | None = None
    """Since when it gets no calls."""
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    """Since when every delivery has failed."""


class WebhookSecret(Struct, frozen=True, kw_only=True):
    """With what the receiver of an endpoint verifies calls."""

    id: str
    secret: str


class SecretWebhook(Webhook, frozen=True, kw_only=True):
    """An endpoint with its secret, as it is shown when that is new."""

    secret: str
