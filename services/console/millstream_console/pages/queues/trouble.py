"""Says what is wrong with one queue, in sentences with cause and number."""

from markupsafe import Markup
from msgspec import Struct

from millstream_console.drawing.numbers import brief, length
from millstream_console.drawing.rates import pace_for, paced
from millstream_console.drawing.sentence import counted, sentence
from millstream_console.pages.queues.condition import ready, state_of
from millstream_console.reading.fleet import Slots
from millstream_console.reading.statistics import TypeFlow
from millstream_contracts import QueueStatus

_SOON_S = 7 * 86_400
"""An end of a backlog that is farther away than this is not told."""


class Trouble(Struct, frozen=True):
    """What is wrong, and how bad it is."""

    tone: str
    """`b` something went wrong, `w` something wants a look."""
    icon: str
    says: Markup
    note: Markup


def trouble_of(queue: QueueStatus, slots: Slots, flow: TypeFlow) -> Trouble | None:
    """Return what is wrong with a queue; None where it works."""
    match state_of(queue, has_worker=bool(slots.workers)):
        case "lost":
            return _without_worker(queue)
        case "stalled":
            return _late(queue, slots, flow)
    return None


def _without_worker(queue: QueueStatus) -> Trouble:
    waiting = ready(queue)
    says = sentence(
        "<b>{}</b> has no worker: {} {}, the oldest for {}.",
        queue.type,
        counted(waiting, "job"),
        "waits" if waiting == 1 else "wait",
        length(queue.oldest_ready_age_s),
    )
    note = Markup("No worker that is alive takes this type; jobs keep their place until one does")
    return Trouble("b", "s-lost", says, note)


def _late(queue: QueueStatus, slots: Slots, flow: TypeFlow) -> Trouble:
    waiting, total = ready(queue), counted(slots.slots, "slot")
    cause = (
        sentence("{} busy", "the only slot is" if slots.slots == 1 else f"all {total} are")
        if slots.is_full
        else sentence("though {} of {} are free", slots.slots - slots.busy, total)
    )
    says = sentence(
        "<b>{}</b> is late: the oldest of {} waits {}, {}.",
        queue.type,
        counted(waiting, "job"),
        length(queue.oldest_ready_age_s),
        cause,
    )
    return Trouble("w", "s-stalled", says, pressure(waiting, flow))


def pressure(waiting: int, flow: TypeFlow) -> Markup:
    """Say how fast jobs come in and go out, and what that does to those that wait."""
    if not (flow.in_per_s or flow.out_per_s):
        return Markup("Nothing came in or went out in the last minutes")
    told = sentence("In {}, out {}", paced(flow.in_per_s), paced(flow.out_per_s))
    growth = flow.in_per_s - flow.out_per_s
    if growth > 0.05 * flow.in_per_s:
        pace = pace_for(growth)
        return told + sentence("; the backlog of {} grows by {} {}", waiting, brief(pace.of(growth)), pace.words)
    if growth < 0 and waiting / -growth < _SOON_S:
        return told + sentence("; at this pace it is empty in {}", length(waiting / -growth))
    return told + sentence("; the backlog of {} stays", waiting)
