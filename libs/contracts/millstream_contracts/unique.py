"""Unique jobs: which two jobs of a type are the same work, for how long, and what becomes of the second."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from millstream_contracts import limits

UniqueScope = Literal["queued", "running", "window"]
"""For how long a job holds its key: until its first delivery, until it has ended, or for a time from its submission."""

OnConflict = Literal["return", "reject", "replace"]
"""What becomes of a job whose key another one holds: that one is returned, this one is refused, or takes its place."""

PATH_PATTERN = r"^[^.]+(\.[^.]+){0,15}$"
FieldPath = Annotated[str, Meta(pattern=PATH_PATTERN, max_length=limits.MAX_FIELD_PATH_CHARS)]
"""A field of a payload: its name, behind those of the objects around it and a dot each, as in `customer.id`."""

WindowSeconds = Annotated[float, Meta(ge=limits.MIN_DURATION_S, le=limits.MAX_DELAY_S)]


def check_window(scope: UniqueScope, window_s: float | None) -> None:
    """Refuse a window without its length, and a length without a window. Raises: ValueError."""
    if scope == "window" and window_s is None:
        raise ValueError("`window_s` is missing, which says how long the window is")
    if scope != "window" and window_s is not None:
        raise ValueError(f"`window_s` goes with the scope `window`, not with `{scope}`")


class UniqueRule(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Which jobs of a type are unique, and for how long, as its handler declares it."""

    fields: Annotated[tuple[FieldPath, ...], Meta(max_length=limits.MAX_UNIQUE_FIELDS)] = ()
    """The fields of the payload whose values make the key; none for the whole payload."""
    scope: UniqueScope = "running"
    window_s: WindowSeconds | None = None
    on_conflict: OnConflict = "return"

    def __post_init__(self) -> None:
        """Check what fields say together. Raises: ValueError, which msgspec turns into a ValidationError."""
        check_window(self.scope, self.window_s)


class UniqueOptions(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a submission asks for a unique job, in place of what the handler of its type declares."""

    key: Annotated[str, Meta(min_length=1, max_length=limits.MAX_UNIQUE_KEY_CHARS)] | None = None
    """What makes two jobs the same; without it the fields that the handler declares, or the whole payload."""
    scope: UniqueScope = "running"
    window_s: WindowSeconds | None = None
    on_conflict: OnConflict = "return"

    def __post_init__(self) -> None:
        """Check what fields say together. Raises: ValueError, which msgspec turns into a ValidationError."""
        check_window(self.scope, self.window_s)


class JobUnique(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The unique key of a job, as it is shown."""

    key: str
    """The beginning of a long one; of a job that is stored encrypted `keyed:` and a keyed hash."""
    scope: UniqueScope
    until: datetime | None = None
    """Of the scope `window`: until when it holds the key."""
