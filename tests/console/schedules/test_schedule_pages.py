"""The pages of schedules over a real ingest, read without script."""

from datetime import UTC, datetime

import pytest
from console.serving import Browser

from millstream import NewJob, Schedule
from millstream_console.pages.overview.attention import Scene, needs_of
from millstream_contracts import DeadGroups, ScheduledJob, ScheduleState

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
MOMENT = datetime(2026, 3, 27, 3, tzinfo=UTC)


@pytest.fixture
async def nightly(console: Browser) -> str:
    """Put a schedule, and return its name."""
    job = NewJob("mail.nightly", {"text": HOSTILE})
    await console.desk.client.put_schedule("nightly", "30 2 * * *", job, tz="Europe/Paris", description=HOSTILE)
    return "nightly"


async def test_the_list_says_when_schedules_are_due(console: Browser, nightly: str) -> None:
    """A row has state, name, words, the rule with its zone, and what becomes of late and overlapping occasions."""
    (row,) = (await console.get("/schedules")).rows()
    assert row.startswith("active nightly mail.nightly · over the API Every day at 02:30 30 2 * * * Europe/Paris in ")
    assert "run the latest may overlap" in row


async def test_the_list_can_be_filtered(console: Browser, nightly: str) -> None:
    """Schedules are found by their state and by how their names begin."""
    assert len((await console.get("/schedules", name="night")).rows()) == 1
    assert "No schedule is like that" in (await console.get("/schedules", state="paused")).main
    assert "No schedule is like that" in (await console.get("/schedules", name="day")).main


async def test_without_schedules_the_page_says_how_to_make_one(console: Browser) -> None:
    """An empty list shows the command that fills it."""
    page = await console.get("/schedules")
    assert "No schedule yet" in page.main
    assert "millstream schedules put" in page.main


async def test_a_schedule_shows_its_next_five_and_what_users_wrote_as_text(console: Browser, nightly: str) -> None:
    """The next occasions are shown by the clock of the schedule, and nothing that a user wrote is markup."""
    page = await console.get("/schedules/nightly")
    assert len([row for row in page.rows() if " 02:30 " in row]) == 5
    assert "<img src=x" in page.main
    assert page.all("img") == []
    assert "No occasion has started a job yet." in page.main


async def test_a_schedule_that_there_is_not_is_a_page_that_says_so(console: Browser) -> None:
    """The page of an unknown schedule is 404."""
    await console.get("/schedules/nowhere", 404)


async def test_pausing_and_resuming(console: Browser, nightly: str) -> None:
    """A paused schedule says since when and why, and what it would do; its button resumes it."""
    assert "Paused" in (await console.post("/schedules/nightly/pause")).toast
    page = await console.get("/schedules/nightly")
    assert "Its occasions do not take place" in page.main
    assert "if it was resumed" in page.main
    assert "Resumed" in (await console.post("/schedules/nightly/resume")).toast
    assert "Its occasions do not take place" not in (await console.get("/schedules/nightly")).main


async def test_running_now_names_the_job_and_leads_back_from_it(console: Browser, nightly: str) -> None:
    """The toast has the id of the job, whose page links its schedule."""
    toast = (await console.post("/schedules/nightly/run")).toast
    job_id = toast.removeprefix("Submitted ").split(".")[0] + "." + toast.split(".")[1]
    page = await console.get(f"/jobs/{job_id}")
    assert page.the('a[href$="/schedules/nightly"]').get_text() == "nightly"


async def test_removing(console: Browser, nightly: str) -> None:
    """A removed schedule is told of by its name, and is there no more."""
    assert "nightly is removed" in (await console.post("/schedules/nightly/remove")).toast
    await console.get("/schedules/nightly", 404)


async def test_a_backfill_is_counted_before_it_is_started(console: Browser, nightly: str) -> None:
    """The preview counts the occasions by the clock of the schedule, and starts nothing; the button starts them."""
    asked = {"start": "2026-03-28", "end": "2026-03-31 00:00", "parallel": "2"}
    page = await console.get("/schedules/nightly/backfill", **asked)
    rows = page.rows()
    assert rows[0].startswith("Sat 28 Mar 02:30 2026-03-28 01:30:00")
    assert "clocks go forward" in rows[1]
    assert "Backfill 3 occasions" in page.main
    assert await console.desk.client.backfills("nightly") == []
    assert "3 occasions on the way" in (await console.post("/schedules/nightly/backfill", key="once", **asked)).toast
    await console.post("/schedules/nightly/backfill", key="once", **asked)
    (made,) = await console.desk.client.backfills("nightly")
    assert (made.occasions, made.parallel) == (3, 2)
    assert made.from_ == datetime(2026, 3, 27, 23, tzinfo=UTC)


WRONG = [
    ({"start": "soon", "end": "2026-03-31"}, "From is no moment"),
    ({"start": "2026-03-28", "end": "2026-03-27"}, "Until is not after"),
    ({"start": "2026-03-28", "end": "2026-03-29", "parallel": "many"}, "At once is a number from 1 to 100"),
    ({"start": "0001-01-01", "end": "2026-03-29"}, "From is no moment"),
]


@pytest.mark.parametrize(("asked", "words"), WRONG, ids=[words for _, words in WRONG])
async def test_what_is_wrong_with_a_range_is_said(
    console: Browser, nightly: str, asked: dict[str, str], words: str
) -> None:
    """A range that is none is named, and what was typed stays."""
    page = await console.get("/schedules/nightly/backfill", 422, **asked)
    assert words in page.main
    assert page.the('input[name="start"]')["value"] == asked["start"]


@pytest.mark.parametrize(("asked", "words"), [WRONG[0], WRONG[2]], ids=["moment", "number"])
async def test_a_form_with_a_wrong_range_says_what_is_wrong(
    console: Browser, nightly: str, asked: dict[str, str], words: str
) -> None:
    """A form that was sent without its preview starts nothing, and its answer names the field."""
    assert (await console.post("/schedules/nightly/backfill", **asked)).toast.startswith(words)
    assert await console.desk.client.backfills("nightly") == []


async def test_a_backfill_can_be_ended(console: Browser, nightly: str) -> None:
    """A backfill is listed with its progress, and ended by its button."""
    client = console.desk.client
    made = await client.start_backfill("nightly", MOMENT, MOMENT.replace(month=4))
    assert any(row.startswith("running") for row in (await console.get("/schedules/nightly")).rows())
    assert "Ended" in (await console.post(f"/schedules/nightly/backfills/{made.id}/cancel")).toast


def orphan(name: str) -> Schedule:
    """Return a schedule that no worker declares."""
    times = {"created_at": MOMENT, "updated_at": MOMENT, "paused_at": MOMENT}
    return Schedule(name=name, state=ScheduleState.ORPHAN, version=1, owner="code", job=ScheduledJob(type="x"), **times)


def test_orphans_need_a_person() -> None:
    """The overview counts schedules that stopped because no worker declares them, and leads to them."""

    def needs(*orphans: Schedule) -> list[tuple[str, str]]:
        groups = DeadGroups(items=[])
        scene = Scene(queues=[], slots={}, flows={}, incidents=[], groups=groups, operations=[], orphans=orphans)
        return [(need.path, need.says.striptags()) for need in needs_of(scene)]

    assert needs() == []
    assert needs(orphan("a")) == [("/schedules/a", "1 schedule stopped: no worker declares a.")]
    assert needs(orphan("a"), orphan("b")) == [("/schedules", "2 schedules stopped: no worker declares a and 1 other.")]
