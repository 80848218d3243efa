"""Shows text that users wrote, so that none of it is obeyed: neither as markup nor by a terminal, nor by a reader."""

import json
import unicodedata
from typing import Any

from markupsafe import Markup, escape

_JOINER = "\u200d"
"""Joins emoji, and does nothing else."""

_CONTROLS = frozenset({"Cc", "Cf", "Zl", "Zp"})


def plain(text: object) -> Markup:
    """Return text with its control and direction characters as code points: `U+202E`."""
    raw = str(text)
    if raw.isascii() and raw.isprintable():
        return escape(raw)
    return Markup("").join(_shown(character) for character in raw)


def coded(text: object) -> Markup:
    """Return a sentence whose parts in backticks are shown as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return plain(text)
    shown = (
        Markup("<code>{}</code>").format(plain(part)) if index % 2 else plain(part) for index, part in enumerate(parts)
    )
    return Markup("").join(shown)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON that is read as it is obeyed, for where it is edited or copied: control characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    # Line feeds are those of the indentation: within texts they are escaped already.
    return "".join(json.dumps(one)[1:-1] if one != "\n" and _is_control(one) else one for one in text)


def shortened(text: object, room: int) -> str:
    """Return the beginning of a text, with an ellipsis where it is longer than the room."""
    raw = str(text)
    return raw if len(raw) <= room else f"{raw[: room - 1].rstrip()}…"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _CONTROLS and character != _JOINER


def _shown(character: str) -> Markup:
    if _is_control(character):
        return Markup('<span class="cc">U+{:04X}</span>').format(ord(character))
    return escape(character)
