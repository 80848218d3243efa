"""Which jobs are the same work: declared on a handler, or asked for by a submission."""

from typing import Any

import msgspec

from millstream.seconds import Seconds, in_seconds
from millstream_contracts import OnConflict, UniqueOptions, UniqueRule, UniqueScope


class Unique:
    """Lets a key have one job at a time: `@app.job("invoice.send", unique=Unique("invoice_id"))`.

    On a handler, `fields` are those of the payload whose values make the key, such as `"invoice_id"` or
    `"customer.id"`; without them it is the whole payload. In a submission, `key` is the key; without it, what the
    handler declares makes it. `scope` says for how long a job holds it: until it starts (`queued`), until it has ended
    (`running`), or for the time `window` from its submission (`window`). `on_conflict` says what becomes of another one
    meanwhile: the job that holds the key is returned in its place (`return`), it is refused (`reject`), or it replaces
    that job unless it has started (`replace`).
    """

    __slots__ = ("fields", "key", "on_conflict", "scope", "window")

    def __init__(
        self,
        *fields: str,
        key: str | None = None,
        scope: UniqueScope = "running",
        window: Seconds | None = None,
        on_conflict: OnConflict = "return",
    ) -> None:
        self.fields = fields
        self.key = key
        self.scope: UniqueScope = scope
        self.window = window
        self.on_conflict: OnConflict = on_conflict

    def __repr__(self) -> str:
        # Keys are of payloads, and do not appear in logs.
        return f"Unique({', '.join(map(repr, self.fields))}{', ' if self.fields else ''}scope={self.scope!r})"

    @property
    def _rule(self) -> dict[str, Any]:
        rule: dict[str, Any] = {"scope": self.scope, "on_conflict": self.on_conflict}
        return rule if self.window is None else {**rule, "window_s": in_seconds(self.window)}


def rule_of(unique: Any) -> UniqueRule:
    """Return what the option of a handler declares. Raises: TypeError; msgspec.ValidationError."""
    if not isinstance(unique, Unique):
        raise TypeError(f'`unique` is a Unique, such as Unique("invoice_id"), not {unique!r}')
    if unique.key is not None:
        raise TypeError("`unique` of a handler names fields of the payload; a `key` is of one submission")
    return msgspec.convert({"fields": list(unique.fields), **unique._rule}, UniqueRule)  # noqa: SLF001 - of this module


def asked_of(unique: Any) -> UniqueOptions:
    """Return what the option of a submission asks for; a text is the key. Raises: TypeError."""
    if isinstance(unique, str):
        unique = Unique(key=unique)
    if not isinstance(unique, Unique):
        raise TypeError(f"`unique` is a key or a Unique, not {type(unique).__name__}")
    if unique.fields:
        raise TypeError("`unique` of a submission gives the `key`; fields of the payload are declared on the handler")
    key = {} if unique.key is None else {"key": unique.key}
    try:
        return msgspec.convert({**key, **unique._rule}, UniqueOptions)  # noqa: SLF001 - of this module
    except msgspec.ValidationError as error:
        raise TypeError(f"`unique`: {error}") from error
