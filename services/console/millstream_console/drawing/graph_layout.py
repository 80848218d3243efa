"""Places the nodes of a graph in layers, with few crossings: to the right, or downwards when that fits.

Each node stands in the layer behind its last parent, a first one beside its first child. Edges that pass layers have
a dummy in each. Barycentres order the layers, and isotonic regression places them close to their neighbours.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from millstream_workflows import layers_of

Point = tuple[float, float]
Parents = tuple[tuple[int, ...], ...]

ORDER_SWEEPS = 12
PLACE_SWEEPS = 16
DUMMY_HEIGHT = 8.0
DUMMY_WEIGHT = 4.0
"""How much straighter a long edge is than a short one."""
MARGIN = 4.0


class Layout(Struct, frozen=True):
    """Where the parts of a graph are."""

    corners: tuple[Point, ...]
    """The top left corner of each node."""
    paths: tuple[tuple[int, int, str], ...]
    """Each edge: parent, child, and its line as the data of an SVG path."""
    middles: tuple[Point, ...]
    """A point in the middle of each path, where a word about it has room."""
    width: float
    height: float


@lru_cache(maxsize=32)
def layout_of(parents: Parents, width: int, height: int, room: int) -> Layout:
    """Return the layout of a graph without cycles, of boxes of one size; `room` is the width that there is."""
    right = _Drawing(parents, width, height, gap=30, between=8).layout(is_down=False)
    if right.width <= room:
        return right
    down = _Drawing(parents, height, width, gap=32, between=6).layout(is_down=True)
    return down if down.width < right.width else right


class _Drawing:
    """One graph on its way to a layout. `along` is the way that edges go, `across` the other."""

    def __init__(self, parents: Parents, along: float, across: float, *, gap: float, between: float) -> None:
        self._parents = parents
        self._along, self._across = along, across
        self._gap, self._between = gap, between
        self._count = len(parents)
        self._layer: list[int] = [0] * self._count
        self._up: list[list[int]] = [[] for _ in parents]
        self._down: list[list[int]] = [[] for _ in parents]
        self._chains: list[list[int]] = []
        self._rows = self._build()
        self._at: list[float] = []

    def layout(self, *, is_down: bool) -> Layout:
        self._order()
        self._place()
        top = min((self._at[node] - self._tall(node) / 2 for row in self._rows for node in row), default=0.0)
        across = [round(at - top + MARGIN, 1) for at in self._at]
        along = [MARGIN + layer * (self._along + self._gap) for layer in self._layer]
        bottom = max((across[node] + self._tall(node) / 2 for row in self._rows for node in row), default=0.0)
        length = 2 * MARGIN + len(self._rows) * (self._along + self._gap) - self._gap
        corners = [(along[node], round(across[node] - self._across / 2, 1)) for node in range(self._count)]
        lines = [self._points(chain, along, across) for chain in self._chains]
        if is_down:
            corners = [(y, x) for x, y in corners]
            lines = [[(y, x) for x, y in line] for line in lines]
        paths = tuple(
            (chain[0], chain[-1], _curve(line, is_down=is_down))
            for chain, line in zip(self._chains, lines, strict=True)
        )
        size = (round(bottom + MARGIN), length) if is_down else (length, round(bottom + MARGIN))
        return Layout(tuple(corners), paths, tuple(map(_middle, lines)), *size)

    def _build(self) -> list[list[int]]:
        """Put nodes and dummies into layers. Returns: the layers, in which nothing is ordered yet."""
        layers = layers_of(self._parents)
        for number, layer in enumerate(layers):
            for node in layer:
                self._layer[node] = number
        for node, child_layer in self._first_children().items():
            if not self._parents[node]:
                self._layer[node] = child_layer - 1
        rows: list[list[int]] = [[] for _ in layers]
        for node in range(self._count):
            rows[self._layer[node]].append(node)
        for node, before in enumerate(self._parents):
            for parent in before:
                self._chains.append(self._chain(parent, node, rows))
        return rows

    def _first_children(self) -> dict[int, int]:
        """Return for each node with children the layer of the first of them."""
        found: dict[int, int] = {}
        for node, before in enumerate(self._parents):
            for parent in before:
                found[parent] = min(found.get(parent, self._layer[node]), self._layer[node])
        return found

    def _chain(self, parent: int, child: int, rows: list[list[int]]) -> list[int]:
        chain = [parent]
        for layer in range(self._layer[parent] + 1, self._layer[child]):
            dummy = len(self._layer)
            self._layer.append(layer)
            self._up.append([])
            self._down.append([])
            rows[layer].append(dummy)
            chain.append(dummy)
        chain.append(child)
        for before, behind in pairwise(chain):
            self._down[before].append(behind)
            self._up[behind].append(before)
        return chain

    def _order(self) -> None:
        best, fewest = [list(row) for row in self._rows], self._crossings()
        for sweep in range(ORDER_SWEEPS):
            if not fewest:
                break
            for number, beside, near in self._sweep(sweep):
                place = {node: at for at, node in enumerate(beside)}
                own = {node: at for at, node in enumerate(self._rows[number])}
                wanted = {node: _mean([place[one] for one in near[node]], own[node]) for node in own}
                self._rows[number].sort(key=lambda node, wanted=wanted, own=own: (wanted[node], own[node]))  # type: ignore[misc]
            if (found := self._crossings()) < fewest:
                best, fewest = [list(row) for row in self._rows], found
        self._rows = best

    def _sweep(self, sweep: int) -> list[tuple[int, list[int], list[list[int]]]]:
        """Return the layers in the order of a sweep, each with the one beside it and the edges between."""
        last = len(self._rows) - 1
        if sweep % 2 == 0:
            return [(number, self._rows[number - 1], self._up) for number in range(1, last + 1)]
        return [(number, self._rows[number + 1], self._down) for number in range(last - 1, -1, -1)]

    def _crossings(self) -> int:
        total = 0
        for row, behind in pairwise(self._rows):
            place = {node: at for at, node in enumerate(behind)}
            seen: list[int] = []
            for node in row:
                ends = sorted(place[child] for child in self._down[node])
                total += sum(len(seen) - bisect_right(seen, end) for end in ends)
                for end in ends:
                    insort(seen, end)
        return total

    def _tall(self, node: int) -> float:
        return self._across if node < self._count else DUMMY_HEIGHT

    def _place(self) -> None:
        self._at = [0.0] * len(self._layer)
        for row in self._rows:
            self._settle(row, [index * (self._across + self._between) for index in range(len(row))])
        for sweep in range(PLACE_SWEEPS):
            for number, _, near in self._sweep(sweep):
                row = self._rows[number]
                self._settle(row, [_mean([self._at[one] for one in near[node]], self._at[node]) for node in row])

    def _settle(self, row: Sequence[int], wanted: Sequence[float]) -> None:
        """Give a layer the places nearest to those wanted that keep order and distance (pool adjacent violators)."""
        offset, offsets = 0.0, []
        blocks: list[list[float]] = []
        for index, node in enumerate(row):
            if index:
                offset += (self._tall(row[index - 1]) + self._tall(node)) / 2 + self._between
            offsets.append(offset)
            blocks.append([wanted[index] - offset, 1.0 if node < self._count else DUMMY_WEIGHT, 1])
            while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
                value, weight, count = blocks.pop()
                block = blocks[-1]
                block[0] = (block[0] * block[1] + value * weight) / (block[1] + weight)
                block[1] += weight
                block[2] += count
        places = [value for value, _, count in blocks for _ in range(int(count))]
        for node, place, offset in zip(row, places, offsets, strict=True):
            self._at[node] = place + offset

    def _points(self, chain: Sequence[int], along: Sequence[float], across: Sequence[float]) -> list[Point]:
        first, *middle, last = chain
        points = [(along[first] + self._along, across[first])]
        for dummy in middle:
            points += [(along[dummy], across[dummy]), (along[dummy] + self._along, across[dummy])]
        return [*points, (along[last], across[last])]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _middle(points: Sequence[Point]) -> Point:
    """Return the middle of the stretch in the middle of a line, which is on the curve that is drawn of it."""
    at = (len(points) - 1) // 2
    (ax, ay), (bx, by) = points[at], points[at + 1]
    return round((ax + bx) / 2, 1), round((ay + by) / 2, 1)


def _curve(points: Sequence[Point], *, is_down: bool) -> str:
    """Return a line through points: straight where two are level, else a curve that leaves and arrives straight."""
    x, y = points[0]
    text = f"M{x:g} {y:g}"
    for (ax, ay), (bx, by) in pairwise(points):
        middle_x, middle_y = round((ax + bx) / 2, 1), round((ay + by) / 2, 1)
        if is_down:
            text += f"V{by:g}" if ax == bx else f"C{ax:g} {middle_y:g} {bx:g} {middle_y:g} {bx:g} {by:g}"
        else:
            text += f"H{bx:g}" if ay == by else f"C{middle_x:g} {ay:g} {middle_x:g} {by:g} {bx:g} {by:g}"
    return text
