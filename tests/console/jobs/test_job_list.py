"""The page of jobs: a search of the history, and what it says when the query is wrong or there is no history."""

import json
from urllib.parse import parse_qs, urlsplit

from console.seeding import ERROR, HOSTILE, MAIL, dead_jobs, past_job, remember
from console.serving import Browser, Page
from ingest.serving import Ingest
from streams.seeds import seed

from millstream_contracts import JobState
from millstream_streams import Broker


async def test_jobs_of_the_history_are_found_newest_first_with_their_count(archive: Browser, history_url) -> None:
    """A search shows its jobs in order, how many there are, and what they have in common."""
    jobs = [past_job(number, tags={"customer": f"c{number % 2}"}) for number in range(4)]
    await remember(history_url, *jobs, past_job(9, state=JobState.DEAD, error=ERROR))
    page = await archive.get("/jobs", q="state:succeeded", counted=1)
    assert [row["data-id"] for row in page.all("tr[data-id]")] == [job.id for job in jobs]
    assert "4 jobs, newest first" in page.main
    assert "customer:c1" in page.rows()[1]
    [facet] = [one for one in page.all(".facet") if "tag.customer" in one.text]
    assert ["".join(link.text.split()) for link in facet.select("a")] == ["c02", "c12"]


async def test_jobs_do_not_wait_for_what_they_have_in_common(archive: Browser, history_url) -> None:
    """A page has its jobs at once, and its stream has the facets; without a script a link leads to them."""
    await remember(history_url, past_job(1), past_job(2, tags={"customer": "late"}))
    query = {"q": "type:email.send tag.customer:late"}
    page = await archive.get("/jobs", **query)
    assert (len(page.rows()), page.all(".facet")) == (1, [])
    assert len(page.all("#live_facets [aria-busy]")) == 1
    async with archive.http.stream("GET", "/jobs", params=query, headers={"accept": "text/event-stream"}) as response:
        async for line in response.aiter_lines():
            if 'class="facet"' in line:
                break
    assert (await archive.get("/jobs", **query)).all(".facet"), "what was counted is shown at once"
    [link] = page.the("noscript").select("a")
    assert (await archive.get(link["href"])).all(".facet")


async def test_what_was_not_chosen_of_a_facet_can_be_chosen_yet(archive: Browser, history_url) -> None:
    """Beside the state that is chosen stand the others with their counts; each leads to itself in its place."""
    dead = [past_job(9, state=JobState.DEAD, error=ERROR)]
    await remember(history_url, *dead, past_job(1), past_job(2), past_job(3, state=JobState.CANCELLED))
    page = await archive.get("/jobs", q="state:dead since:1d", counted=1)
    assert len(page.rows()) == 1
    links = {" ".join(link.get_text(" ").split()): link for link in page.all(".facet")[0].select("a")}
    assert list(links) == ["succeeded 2", "cancelled 1", "dead 1"]
    assert [word for word, link in links.items() if link.get("aria-current")] == ["dead 1"]
    queries = {word: parse_qs(urlsplit(link["href"]).query)["q"] for word, link in links.items()}
    assert queries == {
        "succeeded 2": ["since:1d state:succeeded"],
        "cancelled 1": ["since:1d state:cancelled"],
        "dead 1": ["since:1d"],
    }
    assert len((await archive.get(links["succeeded 2"]["href"])).rows()) == 2
    # Also where nothing matches.
    page = await archive.get("/jobs", q="state:expired", counted=1)
    assert "No job matches" in page.main
    assert [" ".join(one.get_text(" ").split()) for one in page.all(".facet a")] == [
        "succeeded 2",
        "cancelled 1",
        "dead 1",
    ]


async def test_a_wrong_query_is_shown_with_what_is_wrong_at_its_place(archive: Browser) -> None:
    """The wrong word is underlined, one sentence says why, and the suggestion is a link to the query mended."""
    page = await archive.get("/jobs", q="type:email.* state:failed since:1h")
    error = page.the("#fault")
    assert error.select_one("pre").text == "type:email.* state:failed since:1h"
    assert error.select_one("u").text == "failed"
    assert "There is no state failed. Did you mean dead?" in " ".join(error.get_text().split())
    assert parse_qs(urlsplit(error.select_one("a")["href"]).query)["q"] == ["type:email.* state:dead since:1h"]
    field = page.the("#q")
    assert (field["value"], field["data-begin"], field["data-end"]) == (
        "type:email.* state:failed since:1h",
        "19",
        "25",
    )
    assert page.all("table") == []


async def test_a_wrong_query_is_inert(archive: Browser) -> None:
    """A hostile query is text wherever the page shows it."""
    page = await archive.get("/jobs", q=f"state:{HOSTILE}")
    assert_inert(page)
    assert page.the("#q")["value"] == f"state:{HOSTILE}"


async def test_pages_lead_to_older_and_newer_jobs(archive: Browser, history_url) -> None:
    """The cursor is in the address, so that a page of a list can be left and come back to."""
    jobs = [past_job(number) for number in range(60)]
    await remember(history_url, *jobs)
    first = await archive.get("/jobs")
    older = await archive.get(first.the("[rel=next]")["href"])
    assert [row["data-id"] for row in older.all("tr[data-id]")] == [job.id for job in jobs[50:]]
    assert "60 of 60" in older.main
    assert older.all("[rel=next]") == []
    newer = await archive.get(older.the("[rel=prev]")["href"])
    assert [row["data-id"] for row in newer.all("tr[data-id]")] == [job.id for job in jobs[:50]]


async def test_selecting_all_that_match_freezes_the_query(archive: Browser, history_url) -> None:
    """What is submitted after the page was made does not belong to the selection."""
    await remember(history_url, *(past_job(n, state=JobState.DEAD, error=ERROR) for n in range(1, 4)))
    page = await archive.get("/jobs", q="state:dead", select="all")
    frozen = page.the("input[name=frozen]")["value"]
    assert page.the("input[name=scope]")["value"] == "match"
    await remember(history_url, past_job(0, state=JobState.DEAD, error=ERROR))
    asked = await archive.get("/decide", decision="redrive", scope="match", frozen=frozen)
    assert "Redrive 3 jobs?" in asked.main
    assert "4 jobs" in (await archive.get("/jobs", q="state:dead")).main


async def test_columns_are_chosen_and_kept(archive: Browser, history_url) -> None:
    """The choice of columns outlives the page; the one that has the detail stays."""
    await remember(history_url, past_job(worker="w-7"))
    page = await archive.post("/jobs/columns", column=["worker", "id"], back="/jobs?q=type:email.send")
    assert str(page.response.url).endswith("/jobs?q=type:email.send")
    heads = [head.text for head in page.all("thead th")]
    assert heads == ["", "State", "Type", "Detail", "Worker", "Id", "Created"]
    assert "w-7" in page.rows()[0]
    assert "Worker" in (await archive.get("/jobs")).the("thead").text


async def test_the_choice_of_columns_leads_to_no_other_site(archive: Browser) -> None:
    """A form cannot have the console lead a browser elsewhere."""
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example/", "javascript:alert(1)"):
        response = await archive.http.post(
            "/jobs/columns", data={"back": back}, headers={"sec-fetch-site": "same-origin"}
        )
        assert response.headers["location"] == "/jobs"


async def test_texts_of_users_are_inert(archive: Browser, history_url) -> None:
    """Errors, tags, workers and reasons of users are shown as text, with their control characters named."""
    frame = f'Traceback (most recent call last):\n  File "{HOSTILE}", line 1, in {HOSTILE}\n    {HOSTILE}\n{HOSTILE}\n'
    error = ERROR.__class__(type=HOSTILE, message=HOSTILE, fingerprint="v2:x", traceback=frame)
    job = past_job(state=JobState.DEAD, error=error, tags={HOSTILE: HOSTILE}, worker=HOSTILE, reason=HOSTILE)
    await remember(history_url, job)
    await archive.post("/jobs/columns", column=["tags", "worker"])
    for path in ("/jobs", f"/jobs/{job.id}", "/errors", "/errors/group?type=email.send&fingerprint=v2:x"):
        page = await archive.get(path)
        assert_inert(page)
        assert "U+202E" in page.main, path


async def test_without_a_history_what_redis_has_is_listed(console: Browser, broker: Broker) -> None:
    """The page says that there is no history, and lists jobs by type and state, the dead among them."""
    [dead] = await dead_jobs(broker, None, 1)
    [waiting] = await seed(broker, MAIL)
    page = await console.get("/jobs")
    assert "There is no history" in page.main
    assert {row["data-id"] for row in page.all("tr[data-id]")} == {waiting, dead}
    page = await console.get("/jobs", state="queued")
    assert [row["data-id"] for row in page.all("tr[data-id]")] == [waiting]
    page = await console.get("/jobs", state="dead", type="email.send")
    assert [row["data-id"] for row in page.all("tr[data-id]")] == [dead]
    assert page.all("#q") == []


async def test_an_export_has_a_line_for_each_job(archive: Browser, history_url) -> None:
    """The export of a search is JSON lines, and keeps every digit."""
    jobs = [past_job(number, attempts=number) for number in range(3)]
    await remember(history_url, *jobs)
    response = await archive.http.get("/jobs/export.jsonl", params={"q": "type:email.send"})
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["id"] for line in lines] == [job.id for job in jobs]
    assert "attachment" in response.headers["content-disposition"]
    refused = await archive.http.get("/jobs/export.jsonl", params={"q": "state:failed"})
    assert refused.status_code == 422


async def test_hints_complete_what_is_typed(archive: Browser) -> None:
    """The completion has the states of the language; what cannot be completed has none."""
    response = await archive.http.get("/jobs/hints.json", params={"q": "state:de", "at": 8})
    assert [item["text"] for item in response.json()["items"]][:1] == ["dead"]
    assert response.json()["replace"] == [6, 8]


async def test_hints_are_empty_without_a_history(console: Browser) -> None:
    """Where nothing is known to complete, a person types on."""
    response = await console.http.get("/jobs/hints.json", params={"q": "state:de"})
    assert (response.status_code, response.json()["items"]) == (200, [])


async def test_an_empty_history_teaches_how_to_fill_it(archive: Browser) -> None:
    """A list without jobs says how to submit one; a search that finds nothing says what was looked at."""
    assert "No job yet" in (await archive.get("/jobs")).main
    assert "No job matches" in (await archive.get("/jobs", q="state:dead")).main


async def test_rows_do_not_move_and_what_is_new_is_told(archive: Browser, remembering: Ingest, history_url) -> None:
    """The stream of the page has the ids of the first page, and no row."""
    shown = past_job(5)
    await remember(history_url, shown)
    newer = past_job(1)
    await remember(history_url, newer)
    headers = {"accept": "text/event-stream"}
    async with archive.http.stream("GET", "/jobs", params={"q": "type:email.send"}, headers=headers) as response:
        async for line in response.aiter_lines():
            if "data-ids" in line:
                break
    assert f'data-ids="{newer.id} {shown.id}"' in line
    assert "<tr" not in line


async def test_only_what_changes_by_itself_is_told(archive: Browser, history_url) -> None:
    """A screen reader hears of the state of a job, of the count of what is new, and of toasts, and of nothing else."""
    job = past_job(state=JobState.DEAD, error=ERROR)
    await remember(history_url, job)
    told = {"/jobs": ["live_newest"], "/errors": ["live_total"], f"/jobs/{job.id}": ["live_state"], "/queues": []}
    for path, ids in told.items():
        page = await archive.get(path)
        assert [one["id"] for one in page.all("[aria-live]")] == ids, path
        assert [one["class"] for one in page.all("[role=status]")] == [["toasts"]], path


def assert_inert(page: Page) -> None:
    """Assert that no text of a user has become markup."""
    sources = [script.get("src", "") for script in page.all("script")]
    assert all("/static/" in source for source in sources)
    assert page.all("main img") == []
    assert [one for one in page.all("main *") if any(name.startswith("on") for name in one.attrs)] == []
    assert "\u202e" not in page.the("main").get_text()
