"""Templates: submissions that are stored under a name, and that others are filled up from."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from millstream_contracts import limits
from millstream_contracts.callback import Callback
from millstream_contracts.ids import NAME_PATTERN
from millstream_contracts.job import Priority
from millstream_contracts.policy import Backoff, BackoffOptions, Seconds
from millstream_contracts.submission import Attempts, AttemptTimeout, ExpiresIn, JobKey, Tags
from millstream_contracts.unique import UniqueOptions


class TemplateDefinition(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A template as it is put: what submissions say that name it, unless they say otherwise.

    It has no moments, because it is for many jobs, and waits for no other job.
    """

    type: Annotated[str, Meta(pattern=NAME_PATTERN)]
    payload: Raw = Raw(b"")
    """Of a payload that is an object, a submission may replace single members."""
    priority: Priority = Priority.NORMAL
    key: JobKey | None = None
    delay_s: Seconds | None = None
    expires_in_s: ExpiresIn | None = None
    max_attempts: Attempts | None = None
    timeout_s: AttemptTimeout | None = None
    backoff: BackoffOptions | None = None
    tags: Tags | None = None
    callback: Callback | None = None
    unique: UniqueOptions | None = None
    description: Annotated[str, Meta(max_length=limits.MAX_TEMPLATE_DESCRIPTION_CHARS)] = ""


class Template(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A template as it is shown."""

    name: str
    type: str
    payload: Any = None
    priority: Priority = Priority.NORMAL
    key: str | None = None
    delay_s: float | None = None
    expires_in_s: float | None = None
    max_attempts: int | None = None
    timeout_s: float | None = None
    backoff: Backoff | None = None
    tags: dict[str, str] | None = None
    callback: Callback | None = None
    unique: UniqueOptions | None = None
    description: str = ""
    updated_at: datetime


class TemplatePage(Struct, kw_only=True, frozen=True):
    """A page of templates, by name."""

    items: list[Template]
    next_cursor: str | None = None
