"""Draws line charts as SVG, as far as the benchmarks need them: a logarithmic x axis, and a y axis from zero."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from msgspec import Struct

NAMESPACE = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 110
LEGEND_PX = 18
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours that colour-blind readers can distinguish: Okabe and Ito, 2008."""


class Line(Struct, frozen=True):
    """A series of points, from left to right."""

    label: str
    points: Sequence[tuple[float, float]]


class _Scale(Struct, frozen=True):
    """The mapping of values to the picture."""

    first_x: float
    last_x: float
    top_y: float

    def x(self, value: float) -> float:
        span = math.log(self.last_x / self.first_x) or 1.0
        return LEFT + math.log(value / self.first_x) / span * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.top_y * (HEIGHT - TOP - BOTTOM)


def draw(title: str, x_label: str, y_label: str, lines: Sequence[Line]) -> str:
    """Return the text of an SVG file."""
    xs = sorted({x for line in lines for x, _ in line.points})
    highest = max(y for line in lines for _, y in line.points)
    step = _step(highest)
    count = math.ceil(highest / step)
    scale = _Scale(xs[0], xs[-1], step * max(1, count))
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts = [
        f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 24, title, size=15),
        _text((WIDTH + LEFT) / 2, HEIGHT - BOTTOM + 38, x_label),
        _text(18, middle, y_label, turned=True),
    ]
    for value in (step * number for number in range(count + 1)):
        y = scale.y(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:,g}", anchor="end"))
    parts += [_text(scale.x(x), HEIGHT - BOTTOM + 18, _short(x)) for x in xs]
    for number, line in enumerate(lines):
        parts += _drawn(line, COLOURS[number % len(COLOURS)], scale)
        parts += _legend(line, COLOURS[number % len(COLOURS)], number)
    return "\n".join([*parts, "</svg>", ""])


def _drawn(line: Line, colour: str, scale: _Scale) -> list[str]:
    places = [(scale.x(x), scale.y(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _legend(line: Line, colour: str, number: int) -> list[str]:
    y = HEIGHT - BOTTOM + 58 + number * LEGEND_PX
    mark = f'<rect x="{LEFT}" y="{y - 9}" width="12" height="10" fill="{colour}"/>'
    return [mark, _text(LEFT + 18, y, line.label, anchor="start")]


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12, turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turn}>{escape(text)}</text>'


def _step(top: float) -> float:
    """Return the distance of grid lines: 1, 2 or 5 times a power of ten, for at most six lines."""
    power = 10 ** math.floor(math.log10(max(top, 1e-9) / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if top / (power * factor) <= 5)


def _short(value: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
