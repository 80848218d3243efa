"""What needs a person is said in sentences, the worst first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from markupsafe import Markup

from millstream import OpenIncident
from millstream_console.pages.overview.attention import Need, Scene, needs_of
from millstream_console.reading.fleet import Slots
from millstream_console.reading.past import Absence
from millstream_console.reading.statistics import TypeFlow
from millstream_contracts import (
    BulkOperation,
    DeadGroup,
    DeadGroups,
    DeadSample,
    JobError,
    JobId,
    JobType,
    OperationState,
    QueueStatus,
)

NOW = datetime.now(UTC)
FULL = Slots(1, 40, 40)
HOSTILE = "<img src=x onerror=alert(1)>\u202egpj"


def queue(name: str = "email.send", ready: int = 0, age_s: float = 0.0, dead: int = 0, *, paused: bool = False) -> Any:
    """Return the counts of a queue."""
    return QueueStatus(
        type=JobType(name),
        partitions=1,
        queued={"high": 0, "normal": ready, "low": 0},
        running=0,
        scheduled=0,
        blocked=0,
        dead=dead,
        oldest_ready_age_s=age_s,
        paused=paused,
    )


def group(count: int = 1, message: str = "no such host", name: str = "ConnectTimeout") -> DeadGroup:
    """Return dead jobs of one error."""
    sample = DeadSample(JobId("email.send_1"), JobError(f"httpx.{name}", message))
    return DeadGroup(
        type=JobType("email.send"), fingerprint="f00d", count=count, first_seen=NOW, last_seen=NOW, sample=sample
    )


def operation(state: OperationState, detail: str = "") -> BulkOperation:
    """Return an operation on one search."""
    return BulkOperation(
        id="op_1",
        kind="redrive",
        state=state,
        detail=detail,
        q="type:email.send",
        rate=50.0,
        created_at=NOW,
        updated_at=NOW,
        done=20,
    )


def needs(*queues: QueueStatus, slots: Slots | None = FULL, **known: Any) -> list[Need]:
    """Return what needs a person, where all queues have these slots."""
    scene = {
        "queues": queues,
        "slots": {one.type: slots for one in queues} if slots else {},
        "flows": {},
        "incidents": [],
        "groups": DeadGroups(items=[]),
        "operations": [],
    }
    return needs_of(Scene(**scene | known))


def words(markup: Markup) -> str:
    """Return markup as people read it."""
    return str(markup.striptags())


def test_a_system_without_trouble_needs_nothing() -> None:
    """Queues that work, with running jobs and none that is late, need no person."""
    assert needs(queue(ready=4, age_s=2.0), queue("sms.send")) == []


def test_a_late_queue_says_how_late_what_holds_it_and_where_it_goes() -> None:
    """The sentence has the oldest age and the busy slots, the note both rates and the growth of the backlog."""
    flow = {JobType("email.send"): TypeFlow(in_per_s=212.0, out_per_s=164.0)}
    (need,) = needs(queue(ready=48_210, age_s=252.0), flows=flow)
    assert words(need.says) == "email.send is late: the oldest of 48,210 jobs waits 4 m 12 s, all 40 slots are busy."
    assert words(need.note) == "In 212/s, out 164/s; the backlog of 48,210 grows by 48 a second"
    assert (need.tone, need.path) == ("w", "/queues/email.send")


def test_a_late_queue_with_free_slots_says_so() -> None:
    """Where slots are free the cause is another one, and the note tells that nothing moves."""
    (need,) = needs(queue(ready=1, age_s=61.0), slots=Slots(1, 40, 3))
    assert "though 37 of 40 slots are free" in words(need.says)
    assert words(need.note) == "Nothing came in or went out in the last minutes"


def test_a_backlog_that_shrinks_says_when_it_is_empty() -> None:
    """The note has the time until the backlog is worked off."""
    flow = {JobType("email.send"): TypeFlow(in_per_s=1.0, out_per_s=3.0)}
    (need,) = needs(queue(ready=1_200, age_s=90.0), flows=flow)
    assert words(need.note) == "In 1/s, out 3/s; at this pace it is empty in 10 m"


def test_jobs_without_a_worker_come_before_late_ones() -> None:
    """What goes wrong comes before what wants a look, whatever the numbers are."""
    found = needs(queue("late", ready=1_000, age_s=600.0), slots=Slots(1, 1, 1))
    lost = needs(queue("lost.type", ready=2, age_s=600.0), slots=None)
    assert words(lost[0].says) == "lost.type has no worker: 2 jobs wait, the oldest for 10 m."
    assert (lost[0].tone, found[0].tone) == ("b", "w")
    both = needs_of(
        Scene(
            queues=[queue("late", ready=1_000, age_s=600.0), queue("lost.type", ready=2)],
            slots={"late": Slots(1, 1, 1)},
            flows={},
            incidents=[],
            groups=DeadGroups(items=[]),
            operations=[],
        )
    )
    assert [need.path for need in both] == ["/queues/lost.type", "/queues/late"]


def test_a_paused_queue_is_not_late() -> None:
    """Jobs of a paused queue wait because a person has said so."""
    assert needs(queue(ready=5, age_s=900.0, paused=True)) == []


def test_dead_groups_have_a_sentence_each_and_the_rest_one() -> None:
    """The two largest groups are named with their error, the others are counted together."""
    groups = DeadGroups(items=[group(1_284), group(31), group(3), group(2)])
    found = needs(groups=groups)
    assert words(found[0].says) == "1,284 jobs died of ConnectTimeout in email.send: no such host"
    assert words(found[0].note).startswith("first submitted ")
    assert words(found[2].says) == "5 jobs died of 2 other errors."
    assert len(found) == 3


def test_without_a_history_the_dead_are_told_by_queue() -> None:
    """Where no history groups them, dead jobs are told with their number."""
    (need,) = needs(queue(dead=3), groups=Absence.NONE)
    assert words(need.says) == "3 jobs of email.send died and wait for a decision."


def test_a_history_that_is_away_is_told() -> None:
    """A history that does not answer needs a person, and says that jobs still run."""
    (need,) = needs(groups=Absence.AWAY)
    assert "The history is away" in words(need.says)
    assert "Jobs still run" in words(need.note)


def test_only_paused_operations_need_a_person() -> None:
    """An operation that waits for a decision is told with its reason; one that runs or is done is not."""
    every = [operation(state, "4 of 20 died again") for state in OperationState]
    (need,) = needs(operations=every)
    assert words(need.says) == "Redrive of type:email.send is paused: 4 of 20 died again"
    assert need.path == "/operations/op_1"


@pytest.mark.parametrize("rule", ["dead-letters", "no-worker"])
def test_incidents_of_queues_are_told_once(rule: str) -> None:
    """An incident whose queue has a sentence of its own is not told again."""
    incident = OpenIncident(rule=rule, about="email.send", summary="told", opened_at=NOW, notices=0)
    assert needs(incidents=[incident]) == []


def test_other_incidents_are_told_with_their_summary_and_age() -> None:
    """An incident of the history or of an endpoint is told, with the page that helps."""
    since = NOW - timedelta(hours=5, minutes=30)
    behind = OpenIncident(
        rule="history-behind", about="", summary="the history is 9 minutes behind", opened_at=since, notices=1
    )
    hook = OpenIncident(
        rule="webhook-disabled", about="wh_1", summary="the endpoint is off", opened_at=since, notices=0
    )
    first, second = needs(incidents=[hook, behind])
    assert words(first.says) == "The history is 9 minutes behind."
    assert words(first.note) == "First seen 5 h ago"
    assert (first.path, second.path) == ("/system", "/webhooks/wh_1")


def test_an_open_breaker_leads_to_its_queue() -> None:
    """The incident of a breaker is told with the page on which it is closed."""
    told = "the circuit breaker of type mail.send is open"
    (need,) = needs(
        incidents=[OpenIncident(rule="breaker-open", about="mail.send", summary=told, opened_at=NOW, notices=1)]
    )
    assert (words(need.says), need.word) == ("The circuit breaker of type mail.send is open.", "Open queue")
    assert need.path == "/queues/mail.send"


def test_texts_of_users_are_shown_and_not_obeyed() -> None:
    """Markup and direction characters of an error are text."""
    (need,) = needs(groups=DeadGroups(items=[group(message=HOSTILE, name=HOSTILE)]))
    assert "<img" not in need.says
    assert "U+202E" in need.says
