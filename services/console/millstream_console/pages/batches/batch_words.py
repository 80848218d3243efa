"""Words and pictures for a batch: its bar, its callbacks, and what keeps it from going on."""

from markupsafe import Markup

from millstream import BatchEvent, BatchState, BatchStatus, MemberState
from millstream_console.drawing.flow_bar import flow_bar
from millstream_console.drawing.sentence import sentence

LOUDEST = (
    MemberState.DEAD,
    MemberState.EXPIRED,
    MemberState.PENDING,
    MemberState.CANCELLED,
    MemberState.SUCCEEDED,
)
"""The states in the order in which people look for them."""

_SHAPES = {BatchState.OPEN: "active"}
_EVENTS = {
    BatchEvent.SUCCESS: "When all have succeeded",
    BatchEvent.COMPLETE: "When all have settled",
    BatchEvent.DEATH: "When the first is dead",
}


def shape_of(state: BatchState) -> str:
    """Return the icon of the state of a batch, which also says its tone."""
    return _SHAPES.get(state, state.value)


def event_of(event: BatchEvent) -> str:
    """Return when a callback runs."""
    return _EVENTS[event]


def type_of(job_id: str) -> str:
    """Return the job type of an id."""
    return job_id.rpartition("_")[0]


def settled_of(batch: BatchStatus) -> int:
    """Return how many members have settled."""
    return batch.total - batch.counts.get(MemberState.PENDING, 0)


def may_close(batch: BatchStatus) -> bool:
    """Return whether it takes more members."""
    return batch.state is BatchState.OPEN


def may_cancel(batch: BatchStatus) -> bool:
    """Return whether there is something to be cancelled."""
    return not batch.state.is_terminal and batch.state is not BatchState.CANCELLING


def counted(batch: BatchStatus) -> list[tuple[MemberState, int]]:
    """Return how many members are in which state, the loudest first."""
    return [(state, count) for state in LOUDEST if (count := batch.counts.get(state, 0))]


def bar_of(batch: BatchStatus) -> Markup:
    """Draw how far a batch is: what has succeeded, what is dead or expired, and the rest."""
    counts = batch.counts
    parts = (
        ("succeeded", counts.get(MemberState.SUCCEEDED, 0)),
        ("dead", counts.get(MemberState.DEAD, 0) + counts.get(MemberState.EXPIRED, 0)),
    )
    say = ", ".join(f"{count:,} {state}" for state, count in counted(batch)) or "no members"
    return flow_bar(parts, batch.total, say)


def trouble_of(batch: BatchStatus) -> Markup | None:
    """Say what keeps a batch from succeeding; None where nothing does."""
    dead = batch.counts.get(MemberState.DEAD, 0)
    if batch.state is BatchState.FAILED:
        return sentence("<b>It has failed:</b> not every member has succeeded.")
    if not dead:
        return None
    members = "member is" if dead == 1 else "members are"
    if batch.state is BatchState.STALLED:
        return sentence("<b>It cannot succeed:</b> {} {} dead, and all others have settled.", f"{dead:,}", members)
    return sentence("<b>{} {} dead.</b> The others go on.", f"{dead:,}", members)
