"""JSON Merge Patch (RFC 7396) on payloads, and what it has changed."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from millstream_contracts import PayloadChange

MAX_CHANGES = 20
"""The most changes that are shown of one payload."""

MAX_SHOWN_BYTES = 500
"""A larger value is not shown in a change."""


def merged(value: Any, patch: Any) -> Any:
    """Return a value with a patch applied: members of an object are merged, null removes one, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(value) if isinstance(value, Mapping) else {}
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), part)
    return result


def changes_of(before: Any, after: Any) -> list[PayloadChange]:
    """Return by what a value differs from the one before, the first MAX_CHANGES of it."""
    return list(islice(_changes(before, after, ""), MAX_CHANGES))


def _changes(before: Any, after: Any, pointer: str) -> Iterator[PayloadChange]:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        # 1 and True are equal in Python, and not in JSON.
        if before != after or type(before) is not type(after):
            yield PayloadChange(pointer=pointer, kind="changed", before=_shown(before), after=_shown(after))
        return
    for name in (*before, *(name for name in after if name not in before)):
        place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            yield PayloadChange(pointer=place, kind="removed", before=_shown(before[name]))
        elif name not in before:
            yield PayloadChange(pointer=place, kind="added", after=_shown(after[name]))
        else:
            yield from _changes(before[name], after[name], place)


def _shown(value: Any) -> Any:
    size = len(msgspec.json.encode(value))
    return value if size <= MAX_SHOWN_BYTES else f"({size:,} bytes)"
