"""The overview over a real ingest, read without script."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from console.serving import Browser, running_console
from history_seeds import events_of, store
from ingest.inspection.test_past_jobs import QUEUE, SUCCESS, past_job
from ingest.serving import Ingest
from msgspec.structs import replace
from streams.seeds import seed, seed_dead, seed_running

from millstream.handlers import HandlerSettings, builtin_app
from millstream_console.settings import ConsoleSettings
from millstream_contracts import (
    DEFAULT_TENANT,
    Incident,
    JobType,
    Queue,
    TypePolicy,
    TypeRegistration,
    WorkerInfo,
    new_job_id,
)
from millstream_history import open_history
from millstream_streams import Broker

HELLO = TypeRegistration(type=JobType("demo.hello"), policy=TypePolicy(), payload_schema={"type": "null"})
STRICT = TypeRegistration(type=JobType("a.strict"), policy=TypePolicy(), payload_schema={"type": "object"})


@pytest.fixture
async def queue(broker: Broker) -> Queue:
    """Return a queue that is known."""
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))
    await broker.registry.add_queues([queue])
    return queue


def worker(*types: str, busy: int = 0, state: str = "active") -> WorkerInfo:
    """Return a worker of these types."""
    now = datetime.now(UTC)
    return WorkerInfo(
        name="host:1:a", types=list(types), concurrency=4, busy=busy, started_at=now, seen_at=now, state=state
    )


async def remember(history_url: str, ago: timedelta, count: int = 1) -> None:
    """Store jobs that were submitted and succeeded some time ago."""
    at_ms = round((datetime.now(UTC) - ago).timestamp() * 1000)
    async with open_history(history_url) as history:
        for _ in range(count):
            job = replace(past_job(), id=new_job_id(QUEUE, at_ms), created_at=datetime.fromtimestamp(at_ms / 1000, UTC))
            await store(history, QUEUE, job, events_of(job, SUCCESS, at_ms=at_ms))


async def test_a_new_installation_shows_the_command_for_its_first_job(console: Browser, broker: Broker) -> None:
    """Before the first job: the curl for a registered type that needs no payload, what is up, and what is next."""
    await broker.registry.add_types(DEFAULT_TENANT, [STRICT, HELLO])
    await broker.registry.beat(worker("demo.hello"))
    page = await console.get("/")
    curl = page.the("pre#curl").get_text()
    assert f"curl -X POST {console.desk.settings.url}/v1/jobs" in curl
    assert '{"type": "demo.hello"}' in curl
    assert "1 worker is up and handles demo.hello" in page.main
    assert "4 slots" in page.main
    assert "MILLSTREAM_HISTORY_URL" in page.main
    assert not page.all(".kpis")


async def test_built_in_handlers_can_run_the_first_job(console: Browser, broker: Broker) -> None:
    """Where workers have but the built-in handlers, the first job is one of theirs, with a payload that they take."""
    built_in = [handler.registration() for handler in builtin_app(HandlerSettings())]
    await broker.registry.add_types(DEFAULT_TENANT, built_in)
    page = await console.get("/")
    body = json.loads(page.the("pre#curl").get_text().split("-d '")[1].removesuffix("'"))
    assert body["type"] == "report.generate"
    await console.desk.client.submit(body["type"], body["payload"])
    assert (await console.post("/first-job", type=body["type"])).toast.endswith("is queued.")


async def test_types_that_all_need_a_payload_lead_to_the_form(console: Browser, broker: Broker) -> None:
    """A command that the API would refuse is not shown; the form for a job of a registered type is linked."""
    await broker.registry.add_types(DEFAULT_TENANT, [STRICT])
    page = await console.get("/")
    assert not page.all("pre#curl")
    assert page.all(f'a[href="/jobs/new?type={STRICT.type}"]')


async def test_commands_go_to_the_address_that_people_reach(ingest: Ingest, broker: Broker) -> None:
    """What is copied from pages has the address that is set for people, which need not be that of the console."""
    settings = ConsoleSettings(url=str(ingest.http.base_url), console_api_url="https://jobs.example.com/api/")
    async with running_console(settings) as console:
        assert "POST https://jobs.example.com/api/v1/jobs " in (await console.get("/")).the("pre#curl").get_text()


async def test_the_button_submits_the_first_job(console: Browser, broker: Broker) -> None:
    """The button stores a job, says its id, and the overview takes the place of the first run."""
    await broker.registry.add_types(DEFAULT_TENANT, [HELLO])
    page = await console.post("/first-job", type="demo.hello")
    assert page.toast.startswith("demo.hello_")
    assert page.toast.endswith("is queued.")
    assert "Ready for the first job" not in page.main
    assert "demo.hello has no worker: 1 job waits" in page.main


async def test_the_first_run_ends_with_the_button_also_when_its_job_is_fast(archive: Browser, broker: Broker) -> None:
    """A job that ends before the page is read again, and that the history does not have yet, ends the first run."""
    await broker.registry.add_types(DEFAULT_TENANT, [HELLO])
    assert "Ready for the first job" in (await archive.get("/")).main
    await archive.http.post("/first-job", data={"type": "demo.hello"}, headers={"sec-fetch-site": "same-origin"})
    (job,) = (await archive.desk.client.jobs(type="demo.hello")).items
    await archive.desk.client.cancel(job.id)
    assert "Ready for the first job" not in (await archive.get("/")).main


async def test_a_first_job_of_no_type_is_refused_in_words(console: Browser) -> None:
    """A type that cannot be is refused with the reason of the API."""
    page = await console.post("/first-job", type="Not A Type")
    assert "/type" in page.toast
    assert "Ready for the first job" in page.main


async def test_another_site_cannot_submit(console: Browser, broker: Broker) -> None:
    """A form of another site is refused, and nothing is stored."""
    await broker.registry.add_types(DEFAULT_TENANT, [HELLO])
    answer = await console.http.post(
        "/first-job", data={"type": "demo.hello"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403
    assert "Ready for the first job" in (await console.get("/")).main


async def test_a_new_installation_without_a_worker_says_so(console: Browser) -> None:
    """Without a worker and a type the page still says how to submit, and offers no button that could not work."""
    page = await console.get("/")
    assert "No worker is up yet" in page.main
    assert not page.all("form[action='/first-job']")


async def test_the_first_run_does_not_come_back(console: Browser, broker: Broker, queue: Queue) -> None:
    """Once a job was there, an idle system without a history shows the overview."""
    (job_id,) = await seed(broker, queue)
    assert "Ready for the first job" not in (await console.get("/")).main
    await console.desk.client.cancel(job_id)
    assert "Ready for the first job" not in (await console.get("/")).main


async def test_without_a_history_the_overview_shows_what_there_is_now(
    console: Browser, broker: Broker, queue: Queue
) -> None:
    """The numbers are those of now, the dead are told by queue, and the place of the charts says what is missing."""
    await seed_dead(broker, queue)
    await seed(broker, queue, 3)
    await broker.registry.beat(worker("email.send", busy=1))
    page = await console.get("/")
    assert "There is no history" in page.main
    assert "MILLSTREAM_HISTORY_URL" in page.main
    assert not page.all("figure")
    labels = [one.get_text() for one in page.all(".kpis .k")]
    assert labels == ["Waiting", "Oldest", "Running", "Slots busy", "Scheduled", "Dead"]
    assert "1 job of email.send died and wait" in page.main
    assert page.all("a[href='/queues/email.send']")


async def test_a_quiet_system_says_that_nothing_needs_a_person(console: Browser, broker: Broker, queue: Queue) -> None:
    """Jobs that run need no person, and the page says so."""
    await seed_running(broker, queue)
    assert "Nothing needs you" in (await console.get("/")).main


async def test_incidents_are_told(console: Browser, broker: Broker, queue: Queue) -> None:
    """An open incident that is not of a queue is a sentence with its age."""
    await seed_running(broker, queue)
    now_ms = broker.clock.now_ms()
    await broker.registry.open_incident(
        Incident(rule="history-behind", summary="the history is 9 minutes behind", opened_ms=now_ms, seen_ms=now_ms)
    )
    page = await console.get("/")
    assert "The history is 9 minutes behind" in page.main
    assert "Open system" in page.main


async def test_numbers_stand_beside_what_is_usual(archive: Browser, history_url: str) -> None:
    """The numbers of the hour are compared with the hours of the day before."""
    await remember(history_url, timedelta(minutes=5), 12)
    await remember(history_url, timedelta(hours=5), 24)
    page = await archive.get("/")
    figures = {
        one.select_one(".k").get_text(): " ".join(one.get_text(" ").split())
        for one in page.all(".kpis > div")  # type: ignore[union-attr]
    }
    assert list(figures) == ["Submitted", "Succeeded", "Died", "Wait, p95", "Run, p95", "Waiting"]
    assert figures["Submitted"] == "Submitted 12 /h usually 1/h"
    assert "100 % of what ended" in figures["Succeeded"]
    assert "none the day before either" in figures["Died"]


@pytest.mark.parametrize(("span", "word"), [("1h", "hour"), ("24h", "day"), ("7d", "week")])
async def test_charts_have_ranges(archive: Browser, history_url: str, span: str, word: str) -> None:
    """Each range has charts that say in words what they show, and is marked as chosen."""
    await remember(history_url, timedelta(minutes=5))
    page = await archive.get("/", range=span)
    said = [svg["aria-label"] for svg in page.all("figure svg[role=img]")]
    assert len(said) == 2
    assert all(f"the last {word}" in one for one in said)
    assert page.the(".seg a[aria-current]").get_text() == span


async def test_an_unknown_range_is_the_hour(archive: Browser, history_url: str) -> None:
    """A range that is none shows the hour, so that an old link leads somewhere."""
    await remember(history_url, timedelta(minutes=5))
    assert (await archive.get("/", range="1y")).the(".seg a[aria-current]").get_text() == "1h"
