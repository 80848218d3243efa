"""A key as it is typed into the form."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec import Struct

from millstream_console.web.visit import Form
from millstream_contracts import GRANTABLE, Role, Scope, limits

LIFETIMES: Mapping[str, tuple[str, timedelta | None]] = {
    "90d": ("90 days", timedelta(days=90)),
    "1d": ("a day", timedelta(days=1)),
    "30d": ("30 days", timedelta(days=30)),
    "1y": ("a year", timedelta(days=365)),
    "": ("until it is revoked", None),
}
"""How long a new key can work, the first by default."""

OVERLAPS: Mapping[str, tuple[str, timedelta]] = {
    "1d": ("a day", timedelta(days=1)),
    "1h": ("an hour", timedelta(hours=1)),
    "7d": ("a week", timedelta(days=7)),
    "0": ("not at all: it ends now", timedelta()),
}
"""How long an old key can work beside its successor, the first by default."""

OWN = "own"
"""In place of a role: scopes of its own."""


class TypedKey(Struct, frozen=True, kw_only=True):
    """What stands in the form."""

    name: str = ""
    role: str = Role.VIEWER.value
    scopes: tuple[str, ...] = ()
    lifetime: str = "90d"

    @property
    def faults(self) -> dict[str, str]:
        """Return what is wrong with it, by field."""
        found = {}
        if not 0 < len(self.name) <= limits.MAX_API_KEY_NAME_CHARS:
            found["name"] = f"Say in up to {limits.MAX_API_KEY_NAME_CHARS} characters what it is for."
        if self.role == OWN and not self.scopes:
            found["scopes"] = "Choose at least one."
        return found

    @property
    def grant(self) -> dict[str, Any]:
        """Return the role or the scopes, as the client takes them."""
        return {"scopes": [Scope(one) for one in self.scopes]} if self.role == OWN else {"role": Role(self.role)}


def read_typed(form: Form) -> TypedKey:
    """Return what was typed. What no form of ours has is the default."""
    role, lifetime = form.text("role"), form.text("lifetime")
    known = {scope.value for scope in GRANTABLE}
    return TypedKey(
        name=form.text("name"),
        role=role if role in {OWN, *Role} else Role.VIEWER.value,
        scopes=tuple(one for one in form.texts("scope") if one in known),
        lifetime=lifetime if lifetime in LIFETIMES else "90d",
    )
