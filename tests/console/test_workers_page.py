"""The page of the workers over a real ingest, read without script."""

from datetime import UTC, datetime, timedelta

import pytest
from console.serving import Browser
from streams.seeds import seed_worker

from millstream_console.drawing.numbers import UNKNOWN
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, RunningJob, WorkerInfo
from millstream_streams import Broker

NOW = datetime.now(UTC)
HOSTILE = "<b>host</b>\u202e:17:x"


def worker(name: str, **facts: object) -> WorkerInfo:
    """Return a worker of one type."""
    known = {"types": ["email.send"], "concurrency": 4, "started_at": NOW, "seen_at": NOW, "version": "1.0"}
    return WorkerInfo(name=name, **{**known, **facts})  # type: ignore[arg-type]


async def test_each_worker_tells_how_it_is(console: Browser, broker: Broker) -> None:
    """A row has state, host, types, slots, release, memory and the lag of the event loop."""
    await broker.registry.beat(
        worker("web-1:17:x", busy=3, rss_bytes=96 << 20, loop_lag_ms=350.0, version="1.0", state="draining")
    )
    page = await console.get("/workers")
    (row,) = page.rows("#live_workers tbody")
    assert row.startswith(f"draining web-1 : 17:x email.send 3 of 4 {UNKNOWN} 1.0 96.0 MiB 0.35 s")
    assert "1 alive, 1 of them draining" in page.main
    late = page.the("#live_workers tbody td.warn")
    assert late.get_text() == "0.35 s"


async def test_running_jobs_are_shown_the_oldest_first(console: Browser, broker: Broker) -> None:
    """The jobs that have run longest lead to their pages."""
    jobs = [RunningJob("email.send_young", NOW), RunningJob("email.send_old", NOW - timedelta(hours=9, minutes=30))]
    await broker.registry.beat(worker("a:1:x", busy=2, running=jobs))
    page = await console.get("/workers")
    links = [str(one["href"]) for one in page.all("#live_more .mono a")]
    assert links == ["/jobs/email.send_old", "/jobs/email.send_young"]
    assert "9 h" in page.rows("#live_more tbody")[0]


async def test_releases_stand_side_by_side(console: Browser, broker: Broker) -> None:
    """Workers of two releases are counted by release, the larger number first, and the other one is marked."""
    for name, version in (("a", "2.0"), ("b", "2.0"), ("c", "1.9")):
        await broker.registry.beat(worker(name, version=version))
    page = await console.get("/workers")
    assert page.rows("#live_more tbody")[-2:] == ["2.0 2", "1.9 1"]
    assert [one.get_text() for one in page.all("#live_workers td.warn")] == ["1.9"]


async def test_a_silent_worker_is_lost_and_a_gone_one_is_not_there(console: Browser, broker: Broker) -> None:
    """A worker without heartbeats is marked; one that has left is not shown."""
    await seed_worker(broker, worker("silent:1:x"), silent_s=60.0)
    await broker.registry.beat(worker("gone:1:x"))
    await broker.registry.leave("gone:1:x", timedelta(seconds=1))
    page = await console.get("/workers")
    (row,) = page.rows("#live_workers tbody")
    assert row.startswith("lost silent")


async def test_a_worker_is_drained_after_a_question(
    console: Browser, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a worker that takes jobs leads to the question, which says what it runs; a silent one is told."""
    monkeypatch.setattr("millstream_ingest.inspection.worker_drain.WAIT_S", 0.05)
    await broker.registry.beat(worker("a:1:x", busy=2))
    await broker.registry.beat(worker("b:1:x", state="draining", busy=1))
    await seed_worker(broker, worker("silent:1:x"), silent_s=60.0)
    (link,) = (await console.get("/workers")).all("#live_workers .acts a")
    question = await console.get(str(link["href"]))
    assert "The 2 that it runs go on for as long as they take" in question.main
    action = str(question.the("form.ask")["action"])
    assert "has not said that it drains" in (await console.post(action)).toast
    await broker.registry.beat(worker("a:1:x", busy=2, state="draining"))
    assert "ends once 2 jobs of it have ended" in (await console.post(action)).toast
    await broker.registry.leave("a:1:x")
    assert "there is no worker of this name" in (await console.post(action)).toast


async def test_types_without_a_worker_are_named(console: Browser, broker: Broker) -> None:
    """A type that no worker takes is told beside the releases."""
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, JobType("sms.send"))])
    await broker.registry.beat(worker("a:1:x"))
    page = await console.get("/workers")
    assert "No worker takes sms.send" in page.main


async def test_names_of_workers_are_shown_and_not_obeyed(console: Browser, broker: Broker) -> None:
    """Markup in the name of a host is text."""
    await broker.registry.beat(worker(HOSTILE))
    page = await console.get("/workers")
    assert "<b>host" not in page.html
    assert "U+202E" in page.main


async def test_no_worker_says_how_to_start_one(console: Browser) -> None:
    """The empty page has the command."""
    page = await console.get("/workers")
    assert "No worker is alive" in page.main
    assert "millstream worker" in page.main
