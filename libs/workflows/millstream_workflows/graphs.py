"""Orders the nodes of a graph, and finds its cycles."""

from collections.abc import Sequence

Parents = Sequence[Sequence[int]]
"""For each node the places of the nodes that it waits for."""


def layers_of(parents: Parents) -> list[list[int]]:
    """Return the nodes in layers: each stands in the first one behind all its parents. Nodes of a cycle are in none."""
    children: list[list[int]] = [[] for _ in parents]
    for place, before in enumerate(parents):
        for parent in before:
            children[parent].append(place)
    open_edges = [len(before) for before in parents]
    layer = [place for place, count in enumerate(open_edges) if not count]
    layers = []
    while layer:
        layers.append(layer)
        following = []
        for place in layer:
            for child in children[place]:
                open_edges[child] -= 1
                if not open_edges[child]:
                    following.append(child)
        layer = following
    return layers


def cycle_of(parents: Parents) -> list[int]:
    """Return the places of a cycle, each node behind the one that it waits for; empty without a cycle.

    It begins with the node of the smallest place.
    """
    outside = {place for layer in layers_of(parents) for place in layer}
    place = next((place for place in range(len(parents)) if place not in outside), None)
    if place is None:
        return []
    # Each node that is in no layer has a parent in none, so going back comes to a node for the second time.
    path: list[int] = []
    seen: dict[int, int] = {}
    while place not in seen:
        seen[place] = len(path)
        path.append(place)
        place = next(parent for parent in parents[place] if parent not in outside)
    cycle = path[seen[place] :][::-1]
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]
