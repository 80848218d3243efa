"""Says what an operation is about and how far it is."""

from millstream import BulkOperation, OperationState
from millstream_console.drawing.numbers import grouped, length

ENDED = frozenset({OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED})

_VERBS = {"patch": "Patch and redrive", "run-now": "Run now", "delete-tenant": "Delete a tenant"}
_PAST = {
    "redrive": "redriven",
    "discard": "discarded",
    "patch": "patched and redriven",
    "cancel": "cancelled",
    "run-now": "made ready",
    "priority": "given it",
    "erase": "erased",
    "export": "written",
    "delete-tenant": "removed",
}


def verb(operation: BulkOperation) -> str:
    """Return what it does, as one begins a sentence."""
    word = _VERBS.get(operation.kind, operation.kind.capitalize())
    if operation.priority is not None:
        word = f"Priority {operation.priority}"
    return f"{word}, only counted" if operation.dry_run else word


def done_word(operation: BulkOperation) -> str:
    """Return what has become of the jobs that it has done."""
    return "would be acted on" if operation.dry_run else _PAST.get(operation.kind, "done")


def refused_word(operation: BulkOperation) -> str:
    """Return why it leaves jobs alone."""
    words = {
        "cancel": "they have ended",
        "run-now": "they wait for others, are dead or have ended",
        "priority": "they run, are dead or have ended",
        "erase": "they run",
        "export": "they are gone, or erased",
    }
    return words.get(operation.kind, "not dead any more, or not allowed")


def about(operation: BulkOperation) -> str:
    """Return which jobs it is about, as users' text."""
    if operation.tenant is not None:
        return f"all of {operation.tenant}"
    if operation.group is not None:
        return f"{operation.group.type}, {operation.group.fingerprint}"
    if operation.jobs is not None:
        return f"{operation.jobs:,} {'job' if operation.jobs == 1 else 'jobs'} by id"
    # The search of an erasure names a person, and goes when it has ended.
    every = {"erase": "a search that is erased too", "export": "every job"}
    return operation.q or every.get(operation.kind, "every job that is dead")


def percent(operation: BulkOperation) -> int | None:
    """Return how far it is; None where it is not known how many jobs there are."""
    if operation.state is OperationState.DONE:
        return 100
    if not operation.jobs:
        return None
    return min(round(100 * (operation.done + operation.refused) / operation.jobs), 100)


def can_be_paused(operation: BulkOperation) -> bool:
    """Whether it goes on page by page: an export is one job."""
    return is_steerable(operation) and operation.job_id is None and operation.kind != "export"


def removed(operation: BulkOperation) -> list[tuple[str, int]]:
    """Return what a deletion of a tenant has removed, in words, with how many."""
    return [(what.replace("_", " "), number) for what, number in operation.removed.items()]


def is_steerable(operation: BulkOperation) -> bool:
    """Whether it can be paused, resumed or cancelled: the deletion of a tenant goes on to its end."""
    return operation.state not in ENDED and operation.kind != "delete-tenant"


def stage(operation: BulkOperation) -> str:
    """Return where it is, in a sentence."""
    canary = f"{operation.canary.count if operation.canary else 0:,} jobs"
    if operation.kind == "export" and operation.state is OperationState.RUNNING:
        return "A job writes the file."
    if operation.kind == "delete-tenant" and operation.state is OperationState.RUNNING:
        return "Dispatchers remove what it has."
    left = f", {length(operation.eta_s)} to go" if operation.eta_s is not None else ""
    told = {
        OperationState.PENDING: "It begins as soon as a dispatcher takes it.",
        OperationState.CANARY: f"Its canary of {canary} is being redriven; the rest waits for it.",
        OperationState.WAITING: f"It waits for its canary of {canary} to end.",
        OperationState.RUNNING: f"It goes on, up to {grouped(operation.rate)} jobs a second{left}.",
        OperationState.PAUSED: "It is paused, and goes on when it is resumed.",
        OperationState.CANCELLED: "It was ended by hand; what it has done stays done.",
        OperationState.FAILED: "It has failed; what it has done stays done.",
    }
    return told.get(operation.state, "It is done.")


def detail(operation: BulkOperation) -> str:
    """Return why it is paused or has failed, as a sentence of its own; empty where there is no more to say."""
    text = operation.detail.rstrip(".")
    return f"{text[0].upper()}{text[1:]}." if text else ""
