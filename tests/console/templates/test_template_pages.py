"""The pages of templates over a real ingest, read without script."""

from console.serving import Browser

from millstream import NewJob

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


async def test_templates_are_listed_with_what_they_say(console: Browser) -> None:
    """A row has name, type and options, and the description of a user is text."""
    page = await console.get("/templates")
    assert "No template yet" in page.text
    job = NewJob("report.generate", {"formats": ["pdf"]}, priority="low", max_attempts=1, timeout=1.5)
    await console.desk.client.put_template("nightly-report", job, description=HOSTILE)
    await console.desk.client.put_template("weekly", NewJob("report.generate", {"formats": ["pdf"]}))
    page = await console.get("/templates")
    first, second = page.rows()
    assert first.startswith("nightly-report <img src=x onerror=alert(1)>")
    assert "report.generate low priority, 1.5 s an attempt, 1 attempt" in first
    assert "its payload alone" in second
    assert len((await console.get("/templates?name=week")).rows()) == 1


async def test_a_template_is_shown_and_removed(console: Browser) -> None:
    """A page has payload and tags of its template; removed it is not there any more, and that is told."""
    job = NewJob("report.generate", {"formats": ["pdf"]}, tags={"team": "office"}, callback="https://a.example/hook")
    await console.desk.client.put_template("nightly-report", job)
    page = await console.get("/templates/nightly-report")
    for word in ("formats", "team:office", "https://a.example/hook", "--template nightly-report"):
        assert word in page.text
    told = await console.post("/templates/nightly-report/remove")
    assert "nightly-report is removed." in told.text
    assert (await console.get("/templates/nightly-report", status=404)).text
