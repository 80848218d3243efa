"""The list of queues over a real ingest, read without script."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from console.overview.test_overview_page import remember, worker
from console.serving import Browser
from streams.seeds import seed, seed_dead, seed_running

from millstream_console.drawing.numbers import UNKNOWN
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker

TYPES = ("a.busy", "b.dead", "c.idle")


@pytest.fixture
async def queues(broker: Broker) -> dict[str, Queue]:
    """Return three queues: one with jobs and a worker, one with a dead job, one without anything."""
    found = {name: Queue(DEFAULT_TENANT, JobType(name)) for name in TYPES}
    await broker.registry.add_queues(found.values())
    await seed_running(broker, found["a.busy"])
    await seed(broker, found["a.busy"], 3)
    await seed_dead(broker, found["b.dead"])
    await broker.registry.beat(worker("a.busy", "c.idle", busy=3))
    return found


async def test_each_queue_has_its_numbers(console: Browser, queues: dict[str, Queue]) -> None:
    """A row has state, ready, running, slots, scheduled, blocked, dead and the oldest; the foot has the sums."""
    page = await console.get("/queues", sort="type")
    rows = page.rows()
    assert rows[0].startswith("active a.busy 3 1 4 0 0 0")
    assert rows[1] == f"active b.dead 0 0 {UNKNOWN} 0 0 1 {UNKNOWN}"
    assert page.rows("tfoot") == ["All of them 3 1 75 % of 4 0 0 1"]
    assert "Without a history there are no rates" in page.main


async def test_waiting_jobs_without_a_worker_have_a_state_of_their_own(
    console: Browser, broker: Broker, queues: dict[str, Queue]
) -> None:
    """A queue whose jobs no worker takes says so, and is one that needs attention."""
    lost = Queue(DEFAULT_TENANT, JobType("d.lost"))
    await broker.registry.add_queues([lost])
    await seed(broker, lost)
    page = await console.get("/queues", show="attention", sort="type")
    assert [one.get_text() for one in page.all("tbody .t a")] == ["b.dead", "d.lost"]
    assert [one.get_text() for one in page.all("tbody .st")] == ["active", "no worker"]


@pytest.mark.parametrize(
    ("show", "names"), [("all", list(TYPES)), ("attention", ["b.dead"]), ("idle", ["b.dead", "c.idle"]), ("paused", [])]
)
async def test_queues_are_chosen_by_what_they_need(
    console: Browser, queues: dict[str, Queue], show: str, names: list[str]
) -> None:
    """Each choice shows its queues and is marked, and says how many there are."""
    page = await console.get("/queues", show=show, sort="type")
    assert [row.get_text() for row in page.all("tbody .t a")] == names
    assert page.the(".seg [aria-current]").get_text().endswith(f" {len(names)}")


async def test_queues_are_found_by_a_part_of_their_type(console: Browser, queues: dict[str, Queue]) -> None:
    """The filter keeps what contains the text, in any case, and says when there is nothing."""
    page = await console.get("/queues", name="DEAD")
    assert [row.get_text() for row in page.all("tbody .t a")] == ["b.dead"]
    assert "No queue of that name" in (await console.get("/queues", name="<script>")).main


async def test_queues_show_what_comes_in_and_goes_out(
    archive: Browser, broker: Broker, history_url: str, queues: dict[str, Queue]
) -> None:
    """With a history a row has rates of the last minutes and a line of the last hour."""
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, JobType("email.send"))])
    await remember(history_url, timedelta(seconds=90), 30)
    page = await archive.get("/queues", sort="out")
    cells = [cell.get_text() for cell in page.all("tbody tr:first-child td")]
    assert cells[1] == "email.send"
    assert cells[-2].endswith("/min")
    assert page.all("tbody tr:first-child svg.spark")


async def test_columns_are_chosen_and_kept(console: Browser, queues: dict[str, Queue]) -> None:
    """The choice outlives the page and the stream has it too; what needs a history is left out without one."""
    usual = [head.get_text() for head in (await console.get("/queues")).all("thead th")]
    assert usual == ["State", "Type", "Ready", "Running", "Slots", "Scheduled", "Blocked", "Dead", "Oldest"]
    page = await console.post(
        "/queues/columns", column=["dead", "workers", "failed", "nonsense"], back="/queues?sort=type"
    )
    assert str(page.response.url).endswith("/queues?sort=type")
    assert [head.get_text() for head in page.all("thead th")] == ["State", "Type", "Ready", "Workers", "Dead"]
    assert page.rows() == ["active a.busy 3 1 0", "active b.dead 0 0 1", "active c.idle 0 1 0"]
    assert page.rows("tfoot") == ["All of them 3 1"]
    assert [box["value"] for box in page.all("#columns [checked]")] == ["workers", "dead", "failed"]
    async with console.http.stream("GET", "/queues?sort=type", headers={"accept": "text/event-stream"}) as response:
        lines = [line async for line in take_until(response.aiter_lines(), "event: tick")]
    assert "Workers" in " ".join(lines)
    assert "Scheduled" not in " ".join(lines)


async def take_until(lines: AsyncIterator[str], last: str) -> AsyncIterator[str]:
    """Yield lines up to one."""
    async for line in lines:
        if line == last:
            return
        yield line


async def test_a_system_without_queues_says_how_they_come(console: Browser) -> None:
    """The empty list says what fills it."""
    assert "A queue comes with the first job of its type" in (await console.get("/queues")).main
