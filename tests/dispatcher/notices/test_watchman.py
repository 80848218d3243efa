"""Incidents are opened, told, repeated and resolved, once for all dispatchers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog
from dispatcher.schedules.conftest import Town
from intakes import intake_of
from msgspec import structs

from millstream_contracts import DEFAULT_TENANT, BreakerState, Job, JobId, JobType, Queue, QueueStatus
from millstream_dispatcher.notices import notice_desk, watchman
from millstream_dispatcher.notices.channels import Channel, EmailChannel, NotifyChannel, WebhookChannel
from millstream_dispatcher.notices.conditions import (
    BREAKER_OPEN,
    HISTORY_BEHIND,
    OPERATION_PAUSED,
    PARTITIONS_MISSING,
    SCHEDULE_LATE,
    WEBHOOK_DISABLED,
    Condition,
    Limits,
)
from millstream_dispatcher.notices.notice import Notice
from millstream_dispatcher.notices.notice_desk import HOUR_MS, NOTICES_AN_HOUR, NoticeDesk
from millstream_dispatcher.notices.queue_board import QueueBoard
from millstream_dispatcher.notices.watchman import HistoryView, Watchman
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_history import open_history
from millstream_streams import Broker
from millstream_submission import KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import JobTracer, MetricRegistry, NoticeMetrics
from millstream_webhooks import NOTICES, WebhookCall, WebhookKeys, signing_secrets

LIMITS = Limits(dead_after_s=300, no_worker_after_s=60, history_behind_s=300)
KEYS = WebhookKeys(["k" * 32])
EMAIL = EmailChannel(("ops@example.org",))


def dead(job_type: str = "a", age_s: float = 600.0) -> QueueStatus:
    """Return a queue with an old dead letter."""
    queued = {"high": 0, "normal": 0, "low": 0}
    counts = {"queued": queued, "running": 0, "scheduled": 0, "blocked": 0, "dead": 1}
    return QueueStatus(
        type=JobType(job_type), partitions=1, paused=False, oldest_ready_age_s=0.0, oldest_dead_age_s=age_s, **counts
    )  # fmt: skip


class Bench:
    """A watchman whose measurements the test names."""

    def __init__(self, broker: Broker, channels: Sequence[Channel], **options: Any) -> None:
        registry = MetricRegistry()
        catalogue, queues = TypeCatalogue(broker.registry, registry), KnownQueues(broker.registry)
        submitter = SystemSubmitter(
            broker.store, queues, intake_of(broker, catalogue), JobTracer(None), clock=broker.clock.now_s
        )
        metrics = NoticeMetrics(registry)
        self.board = QueueBoard()
        self.desk = NoticeDesk(broker.registry, submitter, channels, metrics)
        self.duty = Watchman(broker, self.board, self.desk, metrics, limits=LIMITS, **options)

    async def sees(self, *queues: QueueStatus) -> int:
        """Run a pass that sees these queues. Returns: how many incidents are open."""
        self.board.put(queues, [])
        return (await self.duty.run_once()).open


async def sent(broker: Broker, job_type: str = "email.send") -> list[Job]:
    """Return the jobs by which notices went, oldest first."""
    queue = Queue(DEFAULT_TENANT, JobType(job_type))
    entries = await broker.client.xrange(broker.keys.of(queue).ready[1])
    jobs = [await broker.views.job(queue, JobId(fields[b"id"].decode())) for _, fields in entries]
    return [job for job in jobs if job]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve incidents in the first pass that does not see their condition."""
    monkeypatch.setattr(watchman, "RESOLVED_AFTER_MS", 0)


async def test_incident_is_told_once_and_when_it_is_resolved(broker: Broker, at_once: None) -> None:
    """People are told when a condition begins to hold and when it no longer does, and not in between."""
    bench = Bench(broker, [EMAIL])
    assert [await bench.sees(dead()), await bench.sees(dead()), await bench.sees(dead())] == [1, 1, 1]
    (mail,) = await sent(broker)
    assert mail.payload["to"] == ["ops@example.org"]
    assert mail.payload["subject"] == "[Millstream] 1 dead letter of type a"
    assert mail.tags == {"notice": "incident"}
    assert await bench.sees() == 0
    subjects = [job.payload["subject"] for job in await sent(broker)]
    assert subjects[1:] == ["[Millstream] Resolved: 1 dead letter of type a"]


async def test_a_breaker_that_opens_and_closes_is_told_once_each(broker: Broker, at_once: None) -> None:
    """One incident lasts while a breaker is open, half-open and open again; people learn of its first and its last."""
    bench, tripped = Bench(broker, [EMAIL]), structs.replace(dead(), dead=0, oldest_dead_age_s=0.0)
    for state in (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.OPEN):
        assert await bench.sees(structs.replace(tripped, breaker=state)) == 1
    [incident] = await broker.registry.incidents()
    assert (incident.rule, incident.key) == (BREAKER_OPEN, "a")
    assert await bench.sees(structs.replace(tripped, breaker=BreakerState.CLOSED)) == 0
    first, last = [job.payload["subject"] for job in await sent(broker)]
    assert first == "[Millstream] the circuit breaker of type a is open, and holds back 0 jobs"
    assert last.startswith("[Millstream] Resolved: the circuit breaker of type a is ")


async def test_incident_that_comes_back_is_a_new_one(broker: Broker, at_once: None) -> None:
    """A condition that holds again after its end is told again."""
    bench = Bench(broker, [EMAIL])
    for _ in range(2):
        await bench.sees(dead())
        await bench.sees()
    assert len(await sent(broker)) == 4


async def test_incident_is_logged_and_counted_without_a_channel(broker: Broker, at_once: None) -> None:
    """Without any channel an incident is a line in the log and a gauge."""
    bench = Bench(broker, [])
    with structlog.testing.capture_logs() as lines:
        await bench.sees(dead())
        await bench.sees(dead())
        await bench.sees()
    assert [(line["event"], line["about"]) for line in lines] == [("incident opened", "a"), ("incident resolved", "a")]


async def test_dispatchers_tell_an_incident_once_together(broker: Broker, at_once: None) -> None:
    """However many dispatchers see a condition, one notice of it goes over a channel."""
    benches = [Bench(broker, [EMAIL]) for _ in range(3)]
    for bench in benches:
        await bench.sees(dead())
    assert len(await sent(broker)) == 1
    for bench in benches:
        await bench.sees()
    assert len(await sent(broker)) == 2


async def test_notice_that_was_stored_and_not_noted_is_not_sent_twice(broker: Broker) -> None:
    """A dispatcher that dies between the job and its note leaves one notice, because the job has a key."""
    bench = Bench(broker, [EMAIL])
    await bench.sees(dead())
    await broker.client.delete(broker.keys.notices)
    (incident,) = await broker.registry.incidents()
    await broker.registry.note_incident(msgspec.structs.replace(incident, notices=0, noticed_ms=0))
    await bench.sees(dead())
    assert len(await sent(broker)) == 1


async def test_incident_is_repeated_while_it_goes_on(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """An incident that goes on is told again after REMIND_EVERY_MS."""
    bench = Bench(broker, [EMAIL])
    await bench.sees(dead())
    monkeypatch.setattr(watchman, "REMIND_EVERY_MS", 0)
    await bench.sees(dead())
    subjects = [job.payload["subject"] for job in await sent(broker)]
    assert subjects[1:] == ["[Millstream] Still: 1 dead letter of type a"]


async def test_incident_stays_while_another_dispatcher_may_see_its_condition(broker: Broker) -> None:
    """An incident is resolved only after no dispatcher has seen its condition for a while."""
    bench = Bench(broker, [EMAIL])
    await bench.sees(dead())
    assert await bench.sees() == 1


async def test_incident_stays_while_nothing_was_measured(broker: Broker, at_once: None) -> None:
    """Without a measurement it is not known whether a condition still holds, and its incident stays."""
    await Bench(broker, []).sees(dead())
    blind = Bench(broker, [])
    assert (await blind.duty.run_once()).open == 1


async def test_incident_of_the_history_stays_while_the_database_cannot_be_asked(broker: Broker, at_once: None) -> None:
    """A rule that could not be looked at resolves nothing."""
    answers = [([Condition(HISTORY_BEHIND, "", "behind")], {HISTORY_BEHIND}), ([], set[str]()), ([], {HISTORY_BEHIND})]

    async def look(_: Limits) -> tuple[list[Condition], set[str]]:
        return answers.pop(0)

    bench = Bench(broker, [], history=look)
    assert [await bench.sees(), await bench.sees(), await bench.sees()] == [1, 1, 0]


async def test_incident_of_mails_is_told_by_the_other_channels(broker: Broker) -> None:
    """What tells that mails die is no mail, which would die as well."""
    bench = Bench(broker, [EMAIL, NotifyChannel()])
    await bench.sees(dead("email.send"))
    assert await sent(broker) == []
    assert [job.payload["title"] for job in await sent(broker, "notify.send")] == [
        "[Millstream] 1 dead letter of type email.send"
    ]


async def test_webhook_gets_a_signed_event(broker: Broker) -> None:
    """A notice to a URL is a CloudEvent, signed with the secret of notices."""
    bench = Bench(broker, [WebhookChannel("https://a.example/", KEYS, DEFAULT_TENANT)])
    await bench.sees(dead())
    (job,) = await sent(broker, "webhook.call")
    call = msgspec.convert(job.payload, WebhookCall)
    assert (call.body["type"], call.body["data"]["rule"]) == ("millstream.incident.opened", "dead-letters")
    assert signing_secrets(call, KEYS, 0) == KEYS.secrets(NOTICES, [DEFAULT_TENANT])


async def test_channel_gets_a_bounded_number_of_notices_and_one_digest(broker: Broker) -> None:
    """Beyond NOTICES_AN_HOUR notices are held back, and the next hour begins with one that says how many."""
    desk = Bench(broker, [EMAIL]).desk
    now_ms = 1_000 * HOUR_MS
    for number in range(NOTICES_AN_HOUR + 5):
        await desk.send(Notice(f"n{number}", "opened", "rule", f"s{number}", "t"), now_ms)
    await desk.tidy(now_ms)
    assert len(await sent(broker)) == NOTICES_AN_HOUR
    for _ in range(2):
        await desk.tidy(now_ms + HOUR_MS)
    subjects = [job.payload["subject"] for job in await sent(broker)]
    assert subjects[NOTICES_AN_HOUR:] == ["[Millstream] 5 more notices were held back"]
    await desk.send(Notice("later", "opened", "rule", "later", "t"), now_ms + HOUR_MS)
    assert len(await sent(broker)) == NOTICES_AN_HOUR + 2


async def test_notes_of_notices_are_forgotten_after_a_day(broker: Broker) -> None:
    """What is noted of notices does not grow for ever."""
    desk = Bench(broker, [EMAIL]).desk
    now_ms = 1_000 * HOUR_MS
    await desk.send(Notice("n", "opened", "rule", "s", "t"), now_ms)
    await desk.tidy(now_ms + notice_desk._KEPT_HOURS * HOUR_MS)
    assert await broker.registry.noted_notices() != {}
    await desk.tidy(now_ms + (notice_desk._KEPT_HOURS + 1) * HOUR_MS)
    assert await broker.registry.noted_notices() == {}


async def test_partitions_are_missed_only_after_a_while(
    broker: Broker, history_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that is new has no partitions for a moment, of which people are not told."""
    async with open_history(history_url) as history:
        view = HistoryView(lambda: 0.0, history, EndpointBook(None))
        assert await view.conditions(LIMITS) == (
            [],
            {HISTORY_BEHIND, PARTITIONS_MISSING, WEBHOOK_DISABLED, OPERATION_PAUSED},
        )
        monkeypatch.setattr(watchman, "PARTITIONS_MISSING_FOR_S", 0.0)
        assert [one.rule for one in (await view.conditions(LIMITS))[0]] == [PARTITIONS_MISSING]
        await history.days.make(datetime.now(UTC).date())
        assert (await view.conditions(LIMITS))[0] == []


async def test_database_that_is_away_leaves_only_the_lag_to_be_seen(broker: Broker) -> None:
    """Without the database the lag is known, and nothing is said of partitions and endpoints."""
    async with open_history("postgresql://u:p@127.0.0.1:9/none") as history:
        view = HistoryView(lambda: 400.0, history, EndpointBook(history.webhooks.every))
        found, seen = await view.conditions(LIMITS)
    assert ([one.rule for one in found], seen) == ([HISTORY_BEHIND], {HISTORY_BEHIND})


async def test_a_schedule_that_does_not_fire_is_told(broker: Broker, at_once: None) -> None:
    """An active schedule whose occasion is overdue opens an incident, also while it is leased; none that is in time."""
    town, now = Town(broker), datetime.now(UTC)
    await town.put("late", next_at=now - timedelta(minutes=10))
    await town.put("in-time", next_at=now - timedelta(minutes=1))
    await town.put("to-come", next_at=now + timedelta(minutes=1))
    await town.put("paused", next_at=now - timedelta(minutes=10), state="paused")
    assert len((await broker.schedules.lease_due(broker.schedules.shard_of(DEFAULT_TENANT, "late"), 10)).found) > 0
    bench = Bench(broker, [EMAIL])
    assert await bench.sees() == 1
    [incident] = await broker.registry.incidents()
    assert (incident.rule, incident.key) == (SCHEDULE_LATE, "late")
    assert "10 minutes ago" in incident.summary
    await broker.schedules.remove(DEFAULT_TENANT, "late")
    assert await bench.sees() == 0
