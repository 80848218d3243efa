"""The critical path of a workflow: the chain of nodes that took longest together, and so decided when it could end."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from graphlib import TopologicalSorter

from markupsafe import Markup
from msgspec import Struct

from millstream import WorkflowNode, WorkflowStatus
from millstream_console.drawing.numbers import length
from millstream_console.drawing.sentence import counted, sentence

NAMED = 6
"""Of a longer path the nodes in the middle are only counted."""


class CriticalPath(Struct, frozen=True):
    """Nodes one after the other, each with the seconds for which it ran or waited for a worker."""

    took_s: Mapping[str, float]
    """By the names of the nodes, in their order."""

    @property
    def total_s(self) -> float:
        """How long they took together."""
        return sum(self.took_s.values())

    @property
    def longest(self) -> str:
        """The name of the node that took longest."""
        return max(self.took_s, key=self.took_s.__getitem__)


def took_s(node: WorkflowNode, now: datetime) -> float | None:
    """Return for how long a node has been under way, until its end or now; None of one that never could start."""
    if node.started_at is None:
        return None
    return max(0.0, ((node.finished_at or now) - node.started_at).total_seconds())


def critical_path(nodes: Sequence[WorkflowNode], now: datetime) -> CriticalPath | None:
    """Return the path of a workflow so far, of all of its nodes; None where fewer than two have begun one by one.

    A node begins when the last before it has ended, so that no chain is longer than the one that decided.
    """
    took = {node.name: length_s for node in nodes if (length_s := took_s(node, now)) is not None}
    before = {node.name: [name for name in node.after if name in took] for node in nodes if node.name in took}
    reached: dict[str, float] = {}
    last: dict[str, str] = {}
    for name in TopologicalSorter(before).static_order():
        parent = max(before[name], key=reached.__getitem__, default=None)
        reached[name] = took[name] + (reached[parent] if parent else 0.0)
        if parent:
            last[name] = parent
    if not last:
        return None
    chain = [max(reached, key=reached.__getitem__)]
    while chain[-1] in last:
        chain.append(last[chain[-1]])
    return CriticalPath({name: took[name] for name in reversed(chain)}) if len(chain) > 1 else None


def told(path: CriticalPath, workflow: WorkflowStatus) -> Markup:
    """Say which nodes a path is made of, and where its time went."""
    return sentence(
        "<b>Critical path{}:</b> {}. {} took {}, most of it in {} ({}).",
        "" if workflow.state.is_terminal else " so far",
        _chain(list(path.took_s)),
        counted(len(path.took_s), "node"),
        length(path.total_s),
        path.longest,
        length(path.took_s[path.longest]),
    )


def _chain(names: Sequence[str]) -> Markup:
    arrow = Markup(' <span aria-label="then">→</span> ')
    shown = [sentence("{}", name) for name in names]
    if len(shown) > NAMED:
        half = NAMED // 2
        shown = [*shown[:half], sentence("{} more", len(names) - 2 * half), *shown[-half:]]
    return arrow.join(shown)
