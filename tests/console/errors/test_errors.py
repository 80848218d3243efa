"""Errors: one row for what jobs have died of in one place, and the page of one group."""

from datetime import timedelta

from console.seeding import ERROR, MAIL, NOW, dead_jobs, past_job, remember
from console.serving import Browser, running_console
from history_databases import execute
from history_seeds import store_at
from ingest.serving import Ingest
from msgspec.structs import replace

from millstream_console.pages.errors import error_list
from millstream_console.settings import ConsoleSettings
from millstream_contracts import DEFAULT_TENANT, JobState, JobType, Queue
from millstream_streams import Broker

OTHER = replace(ERROR, message="no answer")


async def test_each_group_has_one_row(archive: Browser, history_url) -> None:
    """A row has the type of the error, its own frame, and how many jobs have died of it."""
    await remember(history_url, *(past_job(n, state=JobState.DEAD, error=ERROR) for n in range(3)))
    page = await archive.get("/errors")
    [row] = page.rows()
    assert "MailError no route shop/app.py:13 in email" in row
    assert page.the("tbody .bad").text == "3"
    assert page.the("#live_total")["data-shown"] == "3"
    assert "No error contains that" in (await archive.get("/errors", name="nothing")).main


async def test_the_largest_groups_are_shown_first(archive: Browser, history_url, monkeypatch) -> None:
    """A page has the largest groups and leads to more; what is looked for is looked for in those as well."""
    monkeypatch.setattr(error_list, "_LARGEST", 1)
    rare = replace(ERROR, type="shop.RareError", fingerprint="v2:rare")
    await remember(
        history_url,
        *(past_job(n, state=JobState.DEAD, error=ERROR) for n in range(2)),
        past_job(9, state=JobState.DEAD, error=rare),
    )
    page = await archive.get("/errors")
    assert len(page.rows()) == 1
    assert "The 1 largest are shown" in page.main
    more = await archive.get(page.the("main footer a")["href"])
    assert len(more.rows()) == 2
    assert "largest are shown" not in more.main
    assert len((await archive.get("/errors", name="rare")).rows()) == 1


async def test_a_group_has_its_own_trend(archive: Browser, history_url) -> None:
    """The line of a row has the deaths of its group in the last 24 hours, whatever else jobs of its type die of."""
    elsewhere = replace(ERROR, fingerprint="v2:other")
    long_ago = NOW - timedelta(days=3)
    await remember(
        history_url,
        *(past_job(n, state=JobState.DEAD, error=ERROR) for n in range(3)),
        past_job(86_400 * 3, state=JobState.DEAD, error=elsewhere, finished_at=long_ago),
    )
    page = await archive.get("/errors")
    recent, old = page.all("tbody tr")
    assert "3 in the last 24 hours" in recent.text
    assert "0 in the last 24 hours" in old.text
    lowest, highest = " 19.0", " 1.0"
    assert recent.select_one("svg.spark.b path")["d"].endswith(highest)
    assert highest not in old.select_one("svg.spark:not(.b) path")["d"]
    assert old.select_one("svg.spark path")["d"].count(lowest) == 24


async def test_a_group_tells_its_wordings_and_where_it_falls(archive: Browser, history_url) -> None:
    """Wordings are counted, tags and workers that its jobs have in common too, each a link to its jobs."""
    jobs = [past_job(n, state=JobState.DEAD, error=ERROR, worker="w-1", tags={"customer": "acme"}) for n in range(3)]
    await remember(history_url, *jobs, past_job(9, state=JobState.DEAD, error=OTHER, tags={"customer": "globex"}))
    page = await archive.get("/errors/group", type="email.send", fingerprint="v2:abc")
    assert "4 dead" in page.main
    assert "no route 3 no answer 1" in page.main
    assert "tag.customer acme 3 globex 1" in page.main
    links = [link["href"] for link in page.all("aside a") if link.text == "acme"]
    assert "tag.customer%3Aacme" in links[0]
    assert "Type 4 to confirm" not in page.main


async def test_a_fingerprint_can_be_any_text(archive: Browser, history_url) -> None:
    """A group without an error is named by its reason, which a user may have written: quotes, slashes, markup."""
    reason = 'no "key" at <b>hand</b>\\ / 100 %'
    await store_at(history_url, MAIL, past_job(state=JobState.DEAD, reason=reason))
    page = await archive.get("/errors")
    group = await archive.get(page.the("tbody a b").parent["href"])
    assert reason in group.main
    assert "1 dead" in group.main
    assert group.all("main b b") == []


async def test_a_group_tells_its_first_and_last_release(archive: Browser, history_url) -> None:
    """The page says which releases the oldest and the newest job died with, as text, where that is known."""
    for number, worker in ((900, "old"), (1, "new")):
        await remember(history_url, past_job(number, state=JobState.DEAD, error=ERROR, worker=worker))
    page = await archive.get("/errors/group", type="email.send", fingerprint="v2:abc")
    assert "it died with" not in page.main
    await execute(
        history_url,
        "INSERT INTO worker_spans VALUES ('default', 'old', now(), now(), '1.3.2'), "
        "('default', 'new', now(), now(), '<b>1.4</b>') "
        "ON CONFLICT (tenant, worker) DO UPDATE SET release = excluded.release",
    )
    page = await archive.get("/errors/group", type="email.send", fingerprint="v2:abc")
    first, last = page.main.index("it died with release 1.3.2"), page.main.index("it died with release <b>1.4</b>")
    assert first < last


async def test_a_group_leads_to_its_issue(remembering: Ingest, broker: Broker, history_url) -> None:
    """Where the setting says how, the page has a link with what is known of the group, as values and no more."""
    hostile = replace(ERROR, message="<b>no & route</b>")
    await remember(history_url, past_job(1, state=JobState.DEAD, error=hostile))
    pattern = "https://example.com/new?title={type}:{error}&body={message}+{place}+{count}&label={fingerprint}"
    settings = ConsoleSettings(url=str(remembering.http.base_url), console_issue_url=pattern)
    async with running_console(settings) as console:
        page = await console.get("/errors/group", type="email.send", fingerprint="v2:abc")
    assert page.the('a[href^="https://example.com/"]')["href"] == (
        "https://example.com/new?title=email.send:shop.mail.MailError&body=%3Cb%3Eno%20%26%20route%3C%2Fb%3E"
        "+shop%2Fapp.py%3A13+1&label=v2%3Aabc"
    )


async def test_a_group_that_is_gone_says_so(archive: Browser) -> None:
    """None of it is dead any more: there is nothing to redrive."""
    page = await archive.get("/errors/group", type="email.send", fingerprint="v2:gone")
    assert "None of this group is dead any more" in page.main
    assert page.all("dialog#redrive") == []


async def test_without_a_history_dead_letters_are_grouped(console: Browser, broker: Broker) -> None:
    """The dead letters of Redis are shown in groups, which lead to the list of the dead."""
    await dead_jobs(broker, None, 2)
    page = await console.get("/errors")
    assert "There is no history" in page.main
    [row] = page.rows()
    assert "ValueError no such address no frame email.send 2" in row
    assert page.the("tbody a b").parent["href"] == "/jobs?type=email.send&state=dead"


async def test_nothing_dead_is_good_news(archive: Browser, remembering: Ingest) -> None:
    """An empty page says what it means."""
    assert "Nothing is dead" in (await archive.get("/errors", range="all")).main


async def test_an_error_of_several_types_has_one_row(archive: Browser, history_url) -> None:
    """The row has the jobs of all types, leads to the group of each and redrives all; reasons stay apart by type."""
    for number, name in enumerate(("mail.a", "mail.b", "mail.c", "mail.d", "mail.e")):
        queue = Queue(DEFAULT_TENANT, JobType(name))
        dead = [past_job(n, queue=queue, state=JobState.DEAD, error=ERROR) for n in range(number + 1)]
        await remember(history_url, *dead, queue=queue)
        await store_at(history_url, queue, past_job(50, queue=queue, state=JobState.DEAD, reason="crashed"))
    page = await archive.get("/errors")
    shared, *crashed = page.rows()
    assert "mail.e 5 , mail.d 4 , mail.c 3 and 2 more 15" in shared
    assert len(crashed) == 5
    assert page.the("#live_total")["data-shown"] == "20"
    [redrive] = page.all("tbody tr:first-child .acts a")
    assert "15 jobs" in (await archive.get(redrive["href"])).main
    row = page.all("tbody tr")[0]
    assert "mail.d" in (await archive.get(row.select("td.p1 a")[1]["href"])).main
    # What one of its types is called finds the whole row.
    [found] = (await archive.get("/errors", name="mail.a")).rows()[:1]
    assert "15" in found
