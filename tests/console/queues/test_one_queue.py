"""The page of one queue over a real ingest, read without script."""

from datetime import timedelta

import pytest
from console.overview.test_overview_page import remember, worker
from console.serving import Browser
from streams.seeds import seed, seed_dead, seed_due, seed_running

from millstream_console.pages.queues import policy_words
from millstream_contracts import DEFAULT_TENANT, Backoff, JobType, Queue, TypePolicy, TypeRegistration
from millstream_streams import Broker

HOSTILE = "<script>window.hacked=1</script>\u202e"


@pytest.fixture
async def queue(broker: Broker) -> Queue:
    """Return a queue that is known."""
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))
    await broker.registry.add_queues([queue])
    return queue


async def test_a_queue_has_its_numbers_by_state(console: Browser, broker: Broker, queue: Queue) -> None:
    """The numbers are those of ready by priority, running, scheduled, blocked and dead jobs."""
    await seed_dead(broker, queue)
    await seed_running(broker, queue)
    await seed(broker, queue, 2)
    await broker.registry.beat(worker("email.send"))
    page = await console.get("/queues/email.send")
    numbers = {
        str(one.contents[0].get_text()): one.select_one(".v").get_text()  # type: ignore[union-attr]
        for one in page.all(".kpis > div")
    }
    assert numbers | {"Oldest": ""} == {
        "Ready": "2",
        "Running": "1",
        "Scheduled": "0",
        "Blocked": "0",
        "Dead": "1",
        "Oldest": "",
    }
    assert "There is no history" in page.main
    assert "1 of this type is dead" in page.main


async def test_running_jobs_are_listed_with_links(console: Browser, broker: Broker, queue: Queue) -> None:
    """A job that runs is shown with its worker, and leads to its page."""
    delivery = await seed_running(broker, queue, "host:1:a")
    page = await console.get("/queues/email.send")
    assert page.all(f"a[href='/jobs/{delivery.id}']")
    assert "host:1:a" in page.main


async def test_a_queue_without_a_worker_says_what_is_wrong_and_what_mends_it(
    console: Browser, broker: Broker, queue: Queue
) -> None:
    """The sentence at the top tells that no worker takes the jobs; the policy is unknown until one does."""
    await seed(broker, queue)
    page = await console.get("/queues/email.send")
    assert "email.send has no worker: 1 job waits" in page.main
    assert "No worker has registered this type yet" in page.main
    assert page.the("h1 + span").get_text(strip=True) == "no worker"


async def test_the_policy_is_told_in_words(console: Browser, broker: Broker, queue: Queue) -> None:
    """Handler, attempts, time limit, dead letters and schema of the type are shown, and no hostile text is obeyed."""
    policy = TypePolicy(max_attempts=3, timeout_s=90.0, delays_s=(1.0, 60.0), on_dead=JobType("ops.tell"))
    registration = TypeRegistration(
        type=JobType("email.send"),
        policy=policy,
        payload_schema={"type": "object", "description": HOSTILE},
        description=HOSTILE,
        handler="shop.mail:send",
        code_version="1.2",
    )
    await broker.registry.add_types(DEFAULT_TENANT, [registration])
    page = await console.get("/queues/email.send")
    said = " ".join(page.the("dl.facts").get_text(" ").split())
    for fact in ("3, after 1 s, 1 m", "Time limit 1 m 30 s", "ops.tell is submitted", "Handler shop.mail:send", "1.2"):
        assert fact in said
    assert "U+202E" in said
    assert "<script>window" not in page.html


async def test_a_queue_leads_to_searches_of_its_jobs(console: Browser, broker: Broker, queue: Queue) -> None:
    """Links search the jobs of the type by state, attempts and time."""
    await seed_due(broker, queue)
    page = await console.get("/queues/email.send")
    targets = {str(one["href"]) for one in page.all("main a[href^='/jobs?']")}
    assert "/jobs?q=type%3Aemail.send+state%3Adead" in targets
    assert "/jobs?q=type%3Aemail.send" in targets


async def test_a_type_that_is_none_has_no_page(console: Browser) -> None:
    """A queue that no person has heard of is not found, with the reason."""
    page = await console.get("/queues/never.heard-of", status=404)
    assert "no job of this type was ever submitted" in page.text


@pytest.mark.parametrize("span", ["1h", "24h", "7d"])
async def test_a_queue_has_charts_of_each_range(archive: Browser, queue: Queue, history_url: str, span: str) -> None:
    """The flow and the waiting of the type are drawn, and the range is kept in the address."""
    await remember(history_url, timedelta(minutes=5), 3)
    page = await archive.get("/queues/email.send", range=span)
    titles = [one.get_text() for one in page.all("figure h2")]
    assert titles == ["Flow", "Waiting and running"]
    assert page.the(".seg [aria-current]")["href"] == f"/queues/email.send?range={span}"


def test_policies_are_said_in_words() -> None:
    """Attempts, backoff and time limit are told as a person says them."""
    assert policy_words.attempts_of(TypePolicy(max_attempts=1)) == "1, so the first failure is the last"
    assert policy_words.attempts_of(TypePolicy()) == (
        "5, after 1 s, doubled each time, up to 10 m, each drawn at random below that"
    )
    steady = TypePolicy(max_attempts=2, backoff=Backoff("constant", 5.0, 600.0, jitter=False))
    assert policy_words.attempts_of(steady) == "2, 5 s apart"
    assert policy_words.timeout_of(TypePolicy()) == "none: an attempt may take as long as it needs"
