"""Derives the unique key of a job from its name, so that the checker knows it without Redis."""

from typing import Any, get_args

from msgspec import Struct

from millstream_contracts import OnConflict, UniqueScope

KEYS = 3
"""The number of keys of each scope: few, so that most submissions meet another job."""
WINDOW_S = 2
_SCOPES: tuple[UniqueScope, ...] = get_args(UniqueScope)
_CONFLICTS: tuple[OnConflict, ...] = get_args(OnConflict)


class UniqueName(Struct, frozen=True):
    """What a job with a unique key asks for."""

    scope: UniqueScope
    on_conflict: OnConflict
    key: str
    """Those of different scopes differ."""

    @classmethod
    def of(cls, name: str) -> "UniqueName":
        """Return what the job of this name asks for."""
        rest, scope = divmod(int(name[1:], 16), len(_SCOPES))
        rest, on_conflict = divmod(rest, len(_CONFLICTS))
        return cls(_SCOPES[scope], _CONFLICTS[on_conflict], f"{_SCOPES[scope]} {rest % KEYS}")

    @property
    def body(self) -> dict[str, Any]:
        """Return it as a submission has it."""
        window = {"window_s": WINDOW_S} if self.scope == "window" else {}
        return {"key": self.key, "scope": self.scope, "on_conflict": self.on_conflict, **window}
