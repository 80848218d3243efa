"""Shows a JSON value that folds, with its numbers as they are: 64-bit integers keep every digit."""

import json
from typing import Any

from markupsafe import Markup

from millstream_console.drawing.masking import MASK, IsSecret, hides, masked, names_none
from millstream_console.drawing.user_text import plain, shortened

PEEK_CHARS = 64
UNFOLDED_ITEMS = 5
"""A list that has more is folded."""
MAX_NODES = 2_000
"""A value that has more is cut, and says so: a browser would not show it in time."""


def json_tree(value: Any, label: str, is_secret: IsSecret = names_none) -> Markup:
    """Return a value as nested `details`; `label` names it for screen readers. Secrets by name are dots."""
    tree = _Tree(is_secret)
    body = tree.node(value, None, is_last=True, depth=0)
    cut = Markup("<p>…</p>") if tree.is_cut else ""
    return Markup('<div class="json" tabindex="0" role="region" aria-label="{}">{}{}</div>').format(label, body, cut)


def one_line(value: Any, room: int, pointer: str = "", is_secret: IsSecret = names_none) -> str:
    """Return a value as JSON on one line, cut where it is longer than the room.

    Secrets by name are dots, and all of it is where a part of its JSON pointer names one.
    """
    hidden = any(hides(part, value, is_secret) for part in pointer.split("/"))
    return shortened(json.dumps(MASK if hidden else masked(value, is_secret), ensure_ascii=False, default=str), room)


class _Tree:
    def __init__(self, is_secret: IsSecret) -> None:
        self._left = MAX_NODES
        self._is_secret = is_secret

    @property
    def is_cut(self) -> bool:
        return self._left <= 0

    def node(self, value: Any, key: str | None, *, is_last: bool, depth: int) -> Markup:
        self._left -= 1
        if self._left <= 0:
            return Markup("")
        name = Markup("") if key is None else Markup('<span class="jk">"{}"</span>: ').format(plain(key))
        comma = "" if is_last else ","
        if hides(key, value, self._is_secret):
            return Markup('<div>{}<span class="js" title="Hidden because of its name">{}</span>{}</div>').format(
                name, MASK, comma
            )
        if isinstance(value, (dict, list)):
            return self._container(value, name, comma, depth)
        return Markup("<div>{}{}{}</div>").format(name, _scalar(value), comma)

    def _container(self, value: dict[str, Any] | list[Any], name: Markup, comma: str, depth: int) -> Markup:
        begin, end = ("{", "}") if isinstance(value, dict) else ("[", "]")
        pairs = list(value.items()) if isinstance(value, dict) else [(None, item) for item in value]
        nodes = (
            self.node(item, key, is_last=index == len(pairs) - 1, depth=depth + 1)
            for index, (key, item) in enumerate(pairs)
        )
        inner = Markup("").join(nodes)
        is_open = depth < 2 and not (isinstance(value, list) and len(value) > UNFOLDED_ITEMS)
        return Markup("<details{}><summary>{}{}<i> {} {}{}</i></summary>{}{}{}</details>").format(
            Markup(" open") if is_open else "", name, begin, plain(self._peek(value)), end, comma, inner, end, comma
        )

    def _peek(self, value: dict[str, Any] | list[Any]) -> str:
        """Return what a folded value holds, in one line."""
        if isinstance(value, list):
            return f"{len(value):,} items" if len(value) != 1 else "1 item"
        shown = (
            f"{key}: {MASK if hides(key, item, self._is_secret) else _stand_in(item)}" for key, item in value.items()
        )
        return shortened(", ".join(shown), PEEK_CHARS)


def _scalar(value: Any) -> Markup:
    if isinstance(value, str):
        return Markup('<span class="js">"{}"</span>').format(plain(value))
    return Markup('<span class="jd">{}</span>').format(json.dumps(value, default=str))


def _stand_in(value: Any) -> str:
    if isinstance(value, dict):
        return "{…}"
    return "[…]" if isinstance(value, list) else json.dumps(value, ensure_ascii=False, default=str)
