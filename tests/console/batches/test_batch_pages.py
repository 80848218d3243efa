"""The pages of batches over a real ingest, read without script."""

from datetime import UTC, datetime

import pytest
from console.serving import Browser

from millstream import BatchEvent, BatchId, BatchState, BatchStatus, MemberState, NewJob
from millstream_console.pages.batches import batch_words

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


@pytest.fixture
async def batch(console: Browser) -> str:
    """Make a batch with two members and a callback, and return its id. No dispatcher runs."""
    jobs = [NewJob("row.read", {"text": HOSTILE}), NewJob("row.read")]
    made = await console.desk.client.submit_batch("import.pages", jobs, on_complete="report.write")
    return made.id


async def opened(console: Browser) -> str:
    """Make an open batch, and return its path."""
    return f"/batches/{(await console.desk.client.create_batch({'name': 'import.pages', 'open': True})).id}"


def status_of(state: BatchState, counts: dict[MemberState, int]) -> BatchStatus:
    """Return a batch."""
    return BatchStatus(
        id=BatchId("BA_00"),
        name="a",
        state=state,
        total=sum(counts.values()),
        counts=counts,
        created_at=datetime.now(UTC),
    )


async def test_the_list_says_how_far_batches_are(console: Browser, batch: str) -> None:
    """A row has state, name and id, how many members are done, pending and dead, and a bar of them in words."""
    page = await console.get("/batches")
    (row,) = page.rows()
    assert row.startswith(f"running import.pages {batch} 0 /2 2 0 ")
    assert page.the(".flowbar")["aria-label"] == "2 pending"


async def test_the_list_can_be_filtered(console: Browser, batch: str) -> None:
    """Batches are found by their state."""
    assert len((await console.get("/batches", state="running")).rows()) == 1
    assert "No batch is like that" in (await console.get("/batches", state="open")).main


async def test_without_batches_the_page_says_how_to_make_one(console: Browser) -> None:
    """An empty list shows the command that fills it."""
    assert "millstream batches create" in (await console.get("/batches")).main


async def test_a_batch_shows_its_members_and_callbacks(console: Browser, batch: str) -> None:
    """Members are listed with links to their jobs; a callback that has not fired has none."""
    page = await console.get(f"/batches/{batch}")
    rows = page.rows("#live_members tbody")
    assert [row.split()[0] for row in rows] == ["pending", "pending"]
    assert all(row.endswith(" row.read") for row in rows)
    assert len(page.all('#live_members a[href^="/jobs/row.read_"]')) == 2
    assert "0 of 2 have settled" in page.main
    assert "When all have settled not yet report.write" in page.main
    assert page.all('#live_callbacks a[href^="/jobs/"]') == []
    assert page.all("[style]") == []


async def test_members_are_filtered(console: Browser, batch: str) -> None:
    """A filter shows members in a state."""
    assert "No member is like that." in (await console.get(f"/batches/{batch}", members="dead")).main
    assert len((await console.get(f"/batches/{batch}", members="pending")).rows("#live_members tbody")) == 2


async def test_the_page_of_a_member_leads_to_its_batch(console: Browser, batch: str) -> None:
    """The facts of a job name its batch."""
    page = await console.get(f"/batches/{batch}")
    job = page.all('#live_members a[href^="/jobs/"]')[0]["href"]
    assert (await console.get(str(job))).the(f'#live_facts a[href="/batches/{batch}"]').get_text() == batch


async def test_a_batch_that_there_is_not_is_a_page_that_says_so(console: Browser) -> None:
    """The page of an unknown batch is 404."""
    await console.get("/batches/BA_000001KBCSZ4000ABCDEFGHJKMNP", 404)


async def test_closing(console: Browser) -> None:
    """An open batch can be closed from its page, once: the toast says where it is then."""
    path = await opened(console)
    assert (await console.get(path)).all(f'#live_steer form[action="{path}/close"]')
    assert "import.pages is succeeded" in (await console.post(f"{path}/close")).toast
    assert (await console.get(path)).all("#live_steer form, #live_steer button") == []


async def test_cancelling(console: Browser, batch: str) -> None:
    """The toast says where the batch is; what is cancelled cannot be cancelled again from its page."""
    assert "cancel" in (await console.post(f"/batches/{batch}/cancel")).toast
    assert (await console.get(f"/batches/{batch}")).all('#live_steer [commandfor="cancel"]') == []


@pytest.mark.parametrize(
    ("state", "counts", "told"),
    [
        (BatchState.RUNNING, {MemberState.PENDING: 1, MemberState.DEAD: 1}, "1 member is dead. The others go on."),
        (BatchState.STALLED, {MemberState.DEAD: 1_200}, "It cannot succeed: 1,200 members are dead"),
        (BatchState.FAILED, {MemberState.CANCELLED: 1}, "It has failed: not every member has succeeded."),
        (BatchState.SUCCEEDED, {MemberState.SUCCEEDED: 1}, ""),
    ],
)
def test_what_keeps_a_batch_from_succeeding_is_told(
    state: BatchState, counts: dict[MemberState, int], told: str
) -> None:
    """Dead members are told as long as they matter, and a failure for good."""
    trouble = batch_words.trouble_of(status_of(state, counts))
    assert (trouble.striptags() if trouble else "").startswith(told)


def test_every_event_has_words() -> None:
    """A callback is told by when it runs."""
    assert all(batch_words.event_of(event) for event in BatchEvent)
