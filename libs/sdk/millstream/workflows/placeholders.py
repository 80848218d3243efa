"""Placeholders: what stands in a payload for the result of a node that has not run yet.

They are typed as what they stand for, so that type checkers see whether it fits; at run time they record which part of
it is meant. In the submission they are the references of the API.
"""

from functools import partial
from typing import Any

import msgspec

from millstream.payloads import plain_payload

_RESERVED = frozenset({"$result", "$item", "$literal"})
# No object of JSON that is accepted has a key with NUL, so nothing of a user's looks like it.
_MARK = "\0"


class Placeholder:
    """A part of the result of a node, or of the item of a map. An attribute, a key or an index leads further in."""

    __slots__ = ("_default", "_node", "_path")

    def __init__(self, node: str, path: str = "", default: Any = msgspec.UNSET) -> None:
        self._node = node
        self._path = path
        self._default = default

    def __repr__(self) -> str:
        return f"<{f'result of {self._node}' if self._node else 'item'}{f' at {self._path}' if self._path else ''}>"

    def __getattr__(self, name: str) -> "Placeholder":
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | int) -> "Placeholder":
        """Return the part under a key or an index; a text that begins with `/` is a JSON pointer. Raises: TypeError."""
        if isinstance(key, str) and key.startswith("/"):
            return Placeholder(self._node, self._path + key, self._default)
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise TypeError(
                f"{self!r}: a key or an index leads further, not {key!r}; code cannot compute with a result"
            )
        part = str(key).replace("~", "~0").replace("/", "~1")
        return Placeholder(self._node, f"{self._path}/{part}", self._default)

    # What a result would do is not known before it is there, and a loop over indexes would never end.
    __iter__ = None
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is not known yet: it cannot decide anything")


ITEM: Any = Placeholder("")
"""Stands for the item in the payload of a node that maps over a list; `ITEM.url` for a part of it."""


def result_of(node: str) -> Placeholder:
    """Return what stands for the result of a node."""
    return Placeholder(node)


def with_default(placeholder: Placeholder, default: Any) -> Placeholder:
    """Return the same placeholder with a value that is taken where there is no result."""
    return Placeholder(placeholder._node, placeholder._path, default)  # noqa: SLF001 - its attributes are users' names


def node_of(placeholder: Placeholder) -> str:
    """Return the name of the node whose result a placeholder stands for; empty for the item."""
    return placeholder._node  # noqa: SLF001 - as above


def template_of(value: Any) -> tuple[Any, set[str]]:
    """Return a payload as plain data with references, and the names of the nodes that it refers to.

    Data that looks like a reference is meant as it is, and written so. Raises: as `plain_payload`.
    """
    plain = _plain(value)
    return _with_references(plain), _names_in(plain) - {""}


def _hook(value: Any) -> Any:
    if isinstance(value, Placeholder):
        return {_MARK: _reference(value)}
    return plain_payload(value)


_plain = partial(msgspec.to_builtins, builtin_types=(bytes, bytearray, memoryview), str_keys=True, enc_hook=_hook)


def _reference(placeholder: Placeholder) -> dict[str, Any]:
    node, path, default = placeholder._node, placeholder._path, placeholder._default  # noqa: SLF001 - as above
    if not node:
        return {"$item": path}
    fields: dict[str, Any] = {"$result": node}
    if path:
        fields["path"] = path
    if default is not msgspec.UNSET:
        fields["default"] = plain_payload(default)
    return fields


def _with_references(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_references(member) for member in value]
    if not isinstance(value, dict):
        return value
    if _MARK in value:
        return value[_MARK]
    if not _RESERVED.isdisjoint(value):
        if _names_in(value):
            raise TypeError("an object with the key of a reference, such as `$result`, cannot hold results")
        return {"$literal": value}
    return {key: _with_references(member) for key, member in value.items()}


def _names_in(value: Any) -> set[str]:
    """Return the nodes that marked data refers to; the item is the node without a name."""
    if isinstance(value, dict) and _MARK in value:
        return {value[_MARK].get("$result", "")}
    members = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return set().union(*map(_names_in, members))
