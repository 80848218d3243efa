"""Draws a graph as SVG: boxes with a shape and a colour for their state, each a link."""

from collections.abc import Callable, Collection, Mapping, Sequence

from markupsafe import Markup
from msgspec import Struct

from millstream_console.drawing.graph_layout import Layout, Point, layout_of
from millstream_console.drawing.user_text import plain

BOX_WIDTH, BOX_HEIGHT = 152, 38
ROOM = 1150
"""The width of a page: a graph that is wider to the right goes downwards."""
SHOWN_CHARS = 18


class Box(Struct, frozen=True):
    """A node as it is drawn."""

    title: str
    """What the node is called, which is cut where it is too long."""
    sub: str
    """The line below it."""
    say: str
    """What a screen reader hears, and a pointer shows."""
    look: str
    """The class of its colour: `succeeded`, `running`, `dead`, `waiting`, `cancelled`; `crit` beside it stands out."""
    shape: str
    """The icon of its state."""
    href: str
    """Where it leads to; empty for nowhere."""
    parents: tuple[int, ...]
    """The places of the boxes before it."""
    share: float | None = None
    """How much of it is done, from 0 to 1."""


NO_WORDS: Mapping[tuple[int, int], str] = {}


def graph(
    boxes: Sequence[Box],
    icon: Callable[[str], str],
    *,
    say: str,
    critical: Collection[tuple[int, int]] = (),
    words: Mapping[tuple[int, int], str] = NO_WORDS,
) -> Markup:
    """Return a graph without cycles. `icon` returns the address of an icon; `say` is the name of the whole.

    `critical` are the lines that stand out, `words` what is told at lines while a box before or behind them is
    pointed at or in focus, both by the places of the boxes at their ends. What the words tell is in `say` of boxes too.
    """
    layout = layout_of(tuple(box.parents for box in boxes), BOX_WIDTH, BOX_HEIGHT, ROOM)
    # Those of the path come last, so that no other line crosses them.
    paths = sorted(layout.paths, key=lambda path: path[:2] in critical)
    lines = Markup("").join(_line(path, boxes, critical) for path in paths)
    nodes = Markup("").join(_node(place, boxes, layout, icon) for place in _reading_order(layout))
    told = Markup("").join(
        _word(path, middle, words[path[:2]])
        for path, middle in zip(layout.paths, layout.middles, strict=True)
        if path[:2] in words
    )
    return Markup(
        '<svg viewBox="0 0 {0:g} {1:g}" width="{0:g}" height="{1:g}" role="group" aria-label="{2}">{3}{4}{5}</svg>'
    ).format(layout.width, layout.height, say, lines, nodes, told)


def _reading_order(layout: Layout) -> list[int]:
    """Return the places as Tab goes through them: layer by layer, as people read."""
    is_down = len({y for _, y in layout.corners}) < len({x for x, _ in layout.corners})
    return sorted(range(len(layout.corners)), key=lambda place: layout.corners[place][:: -1 if is_down else 1])


def _line(path: tuple[int, int, str], boxes: Sequence[Box], critical: Collection[tuple[int, int]]) -> Markup:
    parent, child, data = path
    far = " far" if boxes[child].look in {"waiting", "cancelled"} else ""
    crit = " crit" if (parent, child) in critical else ""
    return Markup('<path class="e{}{}" data-e="{}-{}" d="{}"/>').format(far, crit, parent, child, data)


def _word(path: tuple[int, int, str], middle: Point, word: str) -> Markup:
    return Markup('<text class="of" aria-hidden="true" data-e="{}-{}" x="{:g}" y="{:g}">{}</text>').format(
        *path[:2], *middle, plain(_cut(word))
    )


def _node(place: int, boxes: Sequence[Box], layout: Layout, icon: Callable[[str], str]) -> Markup:
    box, (x, y) = boxes[place], layout.corners[place]
    href = Markup(' href="{}"').format(box.href) if box.href else Markup(' tabindex="0"')
    return Markup(
        '<a class="{}"{} data-n="{}"><title>{}</title><g transform="translate({:g} {:g})">'
        '<rect width="{}" height="{}" rx="6"/>{}<use href="{}" x="9" y="12" width="14" height="14"/>'
        '<text x="30" y="16">{}</text><text class="sub" x="30" y="{}">{}</text></g></a>'
    ).format(
        box.look,
        href,
        place,
        plain(box.say),
        x,
        y,
        BOX_WIDTH,
        BOX_HEIGHT,
        _meter(box.share),
        icon(box.shape),
        plain(_cut(box.title)),
        30 if box.share is None else 28,
        plain(_cut(box.sub)),
    )


def _meter(share: float | None) -> Markup:
    if share is None:
        return Markup("")
    length = BOX_WIDTH - 42
    done = Markup('<path class="mf" d="M30 33.5h{:g}"/>').format(round(length * share, 1)) if share > 0 else ""
    return Markup('<path class="mt" d="M30 33.5h{}"/>{}').format(length, done)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
