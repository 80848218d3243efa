"""Says what needs a person: each need a sentence with cause and number, and one thing to do about it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup
from msgspec import Struct

from millstream import OpenIncident, Schedule
from millstream_console.drawing.moments import long_ago
from millstream_console.drawing.numbers import length
from millstream_console.drawing.sentence import counted, sentence
from millstream_console.drawing.user_text import shortened
from millstream_console.pages.operations import telling
from millstream_console.pages.queues.condition import ready
from millstream_console.pages.queues.trouble import trouble_of
from millstream_console.reading.errors import error_of, message_of, place_of
from millstream_console.reading.fleet import NO_SLOTS, Slots
from millstream_console.reading.past import Absence
from millstream_console.reading.statistics import NO_FLOW, TypeFlow
from millstream_contracts import BulkOperation, DeadGroup, DeadGroups, JobType, OperationState, QueueStatus

MOST_NEEDS = 5
MOST_GROUPS = 2
"""Groups of dead jobs that have a sentence of their own."""

_QUOTED_CHARS = 120
_HEAVY = 1 << 40
"""Comes before all that is weighed by a number of jobs."""

_TOLD_ELSEWHERE = frozenset({"dead-letters", "no-worker"})
"""Rules of incidents whose queues have sentences here."""


class Need(Struct, frozen=True, kw_only=True):
    """Something that needs a person."""

    tone: str
    """`b` something went wrong, `w` something wants a look."""
    icon: str
    says: Markup
    note: Markup
    word: str
    """What the button says."""
    path: str
    query: Mapping[str, str] = {}
    weight: float
    """The heavier of one tone comes first; mostly a number of jobs."""


class Scene(Struct, frozen=True, kw_only=True):
    """What is known, to judge by."""

    queues: Sequence[QueueStatus]
    slots: Mapping[str, Slots]
    flows: Mapping[JobType, TypeFlow]
    incidents: Sequence[OpenIncident]
    groups: DeadGroups | Absence
    operations: Sequence[BulkOperation]
    orphans: Sequence[Schedule] = ()
    """Schedules that no worker declares any more."""


def needs_of(scene: Scene) -> list[Need]:
    """Return what needs a person, the worst first."""
    found = [
        *_of_queues(scene),
        *_of_the_dead(scene),
        *_of_operations(scene.operations),
        *_of_orphans(scene.orphans),
        *_of_incidents(scene.incidents),
        *_of_the_history(scene.groups),
    ]
    return sorted(found, key=lambda need: (need.tone != "b", -need.weight))


def _of_queues(scene: Scene) -> Iterator[Need]:
    for queue in scene.queues:
        slots = scene.slots.get(queue.type, NO_SLOTS)
        if trouble := trouble_of(queue, slots, scene.flows.get(queue.type, NO_FLOW)):
            yield Need(
                tone=trouble.tone,
                icon=trouble.icon,
                says=trouble.says,
                note=trouble.note,
                word="Open queue",
                path=f"/queues/{queue.type}",
                weight=ready(queue),
            )


def _of_the_dead(scene: Scene) -> Iterator[Need]:
    if isinstance(scene.groups, Absence):
        yield from (_dead_of_queue(queue) for queue in scene.queues if queue.dead)
        return
    groups = scene.groups.items
    yield from map(_dead_group, groups[:MOST_GROUPS])
    if rest := groups[MOST_GROUPS:]:
        jobs = sum(group.count for group in rest)
        yield Need(
            tone="w",
            icon="s-dead",
            says=sentence("<b>{} died</b> of {}.", counted(jobs, "job"), counted(len(rest), "other error")),
            note=sentence("{} and others", error_of(rest[0])) if len(rest) > 1 else sentence("{}", error_of(rest[0])),
            word="Review errors",
            path="/errors",
            weight=jobs,
        )


def _dead_group(group: DeadGroup) -> Need:
    message, place = message_of(group), place_of(group)
    says = sentence(
        "<b>{} died</b> of <code>{}</code> in {}{}",
        counted(group.count, "job"),
        error_of(group),
        group.type,
        sentence(": {}", shortened(message, _QUOTED_CHARS)) if message else Markup("."),
    )
    raised = sentence("Raised in <code>{}</code> · ", place) if place else Markup("")
    died = sentence(", last died {}", long_ago(group.last_died_at)) if group.last_died_at else Markup("")
    return Need(
        tone="b",
        icon="s-dead",
        says=says,
        note=raised + sentence("first submitted {}{}", long_ago(group.first_seen), died),
        word="Review and redrive",
        path="/errors/group",
        query={"type": group.type, "fingerprint": group.fingerprint},
        weight=group.count,
    )


def _dead_of_queue(queue: QueueStatus) -> Need:
    return Need(
        tone="b",
        icon="s-dead",
        says=sentence("<b>{} of {} died</b> and wait for a decision.", counted(queue.dead, "job"), queue.type),
        note=sentence("The oldest died {} ago", length(queue.oldest_dead_age_s)),
        word="Open queue",
        path=f"/queues/{queue.type}",
        weight=queue.dead,
    )


def _of_operations(operations: Iterable[BulkOperation]) -> Iterator[Need]:
    for operation in operations:
        if operation.state is OperationState.PAUSED:
            detail = sentence(": {}", operation.detail) if operation.detail else Markup("")
            yield Need(
                tone="w",
                icon="s-paused",
                says=sentence("<b>{} of {}</b> is paused{}", telling.verb(operation), telling.about(operation), detail),
                note=sentence(
                    "{} done, and the others wait for a decision. Paused {}",
                    counted(operation.done, "job"),
                    long_ago(operation.updated_at),
                ),
                word="Open operation",
                path=f"/operations/{operation.id}",
                weight=operation.done + operation.failed,
            )


def _of_orphans(orphans: Sequence[Schedule]) -> Iterator[Need]:
    if not orphans:
        return
    first = orphans[0]
    others = sentence(" and {}", counted(len(orphans) - 1, "other")) if len(orphans) > 1 else Markup("")
    yield Need(
        tone="w",
        icon="s-paused",
        says=sentence(
            "<b>{} stopped</b>: no worker declares <code>{}</code>{}.",
            counted(len(orphans), "schedule"),
            first.name,
            others,
        ),
        note=sentence("Paused {}. A worker that declares it resumes it", long_ago(first.paused_at)),
        word="Open schedule" if len(orphans) == 1 else "Open schedules",
        path=f"/schedules/{first.name}" if len(orphans) == 1 else "/schedules",
        query={} if len(orphans) == 1 else {"state": "orphan"},
        weight=len(orphans),
    )


def _of_incidents(incidents: Iterable[OpenIncident]) -> Iterator[Need]:
    for incident in incidents:
        if incident.rule in _TOLD_ELSEWHERE:
            continue
        is_endpoint = incident.rule == "webhook-disabled"
        is_queue = incident.rule == "breaker-open"
        summary = incident.summary[:1].upper() + incident.summary[1:]
        yield Need(
            tone="w" if is_endpoint else "b",
            icon="webhooks" if is_endpoint else "s-warn",
            says=sentence("{}.", summary.rstrip(".")),
            note=sentence("First seen {}", long_ago(incident.opened_at)),
            word="Open endpoint" if is_endpoint else "Open queue" if is_queue else "Open system",
            path=_path_of(incident),
            weight=1 if is_endpoint else _HEAVY,
        )


def _path_of(incident: OpenIncident) -> str:
    places = {"webhook-disabled": "/webhooks", "breaker-open": "/queues"}
    place = places.get(incident.rule)
    return f"{place}/{incident.about}" if place and incident.about else "/system"


def _of_the_history(groups: DeadGroups | Absence) -> Iterator[Need]:
    if groups is Absence.AWAY:
        yield Need(
            tone="b",
            icon="s-warn",
            says=Markup("<b>The history is away</b>: its PostgreSQL does not answer."),
            note=Markup("Jobs still run; what they do is written later. Searches, charts and old jobs cannot be shown"),
            word="Open system",
            path="/system",
            weight=_HEAVY,
        )
