"""The form for a template, over a real ingest and without script: its faults, and what it saves."""

from typing import Any

import pytest
from console.serving import Browser, Page
from msgspec.structs import replace

from millstream import Client, JobState, NewJob, Unique
from millstream_contracts import Backoff

NIGHTLY: dict[str, str] = {
    "name": "form.nightly", "type": "form.report", "description": "The office",
    "payload": '{"order": 9007199254740993}',
}  # fmt: skip


def typed_in(page: Page, form: str = "template") -> dict[str, str]:
    """Return what stands in the fields of the form."""
    fields: dict[str, str] = {}
    for field in page.all(f"form#{form} [name]"):
        chosen = field.select_one("option[selected]")
        text = field.get_text().removeprefix("\n") if field.name == "textarea" else str(field.get("value") or "")
        fields[str(field["name"])] = chosen.get_text() if chosen else text
    return fields


@pytest.fixture
def client(console: Browser) -> Client:
    """Return a client of the API that the console uses."""
    return console.desk.client


async def test_a_new_template_is_saved_as_it_was_typed(console: Browser, client: Client) -> None:
    """Every field is what the template says, with every digit of its payload, and submissions that name it have it."""
    options = {"priority": "low", "key": "acme", "delay": "10m", "max_attempts": "3", "timeout": "90", "tags": "a: b"}
    page = await console.post("/new-template", **NIGHTLY, **options, expires_in="1d")
    assert page.toast == "form.nightly is there."
    made = await client.template("form.nightly")
    assert (made.type, made.payload, made.description) == ("form.report", {"order": 9007199254740993}, "The office")
    assert (made.priority, made.key, made.delay_s, made.max_attempts) == ("low", "acme", 600, 3)
    assert (made.timeout_s, made.expires_in_s, made.tags) == (90, 86_400, {"a": "b"})


@pytest.mark.parametrize(
    ("field", "fields", "words"),
    [
        ("name", {"name": ""}, "A template has a name"),
        ("name", {"name": "no name"}, "expected 1 to 128 of the characters"),
        ("type", {"type": ""}, "A job has a type"),
        ("payload", {"payload": "{"}, "This is no JSON"),
        ("delay", {"delay": "soon"}, "Expected a length of time"),
        ("max_attempts", {"max_attempts": "0"}, "1"),
        ("timeout", {"timeout": "99d"}, "at most 604,800"),
        ("tags", {"tags": "a"}, "name: value"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field(
    console: Browser, client: Client, field: str, fields: dict[str, str], words: str
) -> None:
    """A field at fault is marked and said why, what was typed stays, and nothing is saved."""
    asked = {**NIGHTLY, **fields}
    page = await console.post("/new-template", **asked)
    assert page.status == 422
    assert words in page.the(f"#{field}-why").get_text()
    assert page.the(f'[name="{field}"][aria-invalid="true"]')["aria-describedby"] == f"{field}-why"
    assert typed_in(page).items() >= asked.items()
    assert (await client.templates(name="form.")).items == []


async def test_a_name_that_is_taken_is_refused(console: Browser, client: Client) -> None:
    """A new template does not replace another one of its name."""
    await client.put_template("form.nightly", NewJob("form.other"))
    page = await console.post("/new-template", **NIGHTLY)
    assert (page.status, "of this name" in page.the("#name-why").get_text()) == (422, True)
    assert (await client.template("form.nightly")).type == "form.other"


async def test_editing_keeps_what_the_form_has_no_field_for(console: Browser, client: Client) -> None:
    """A form that is saved as it was opened changes nothing; callback, backoff and unique key of the jobs stay."""
    kept: dict[str, Any] = {
        "backoff": Backoff(),
        "callback": "https://shop.example/hooks",
        "unique": Unique(key="k", scope="window", window=60, on_conflict="reject"),
    }
    job = NewJob("form.report", {"a": 1}, priority="low", delay=90, tags={"team": "office"}, **kept)
    before = await client.put_template("form.nightly", job, description="The office")
    opened = await console.get("/templates/form.nightly/edit")
    assert "Its backoff and its callback and its unique key stay as they are." in opened.text
    page = await console.post("/templates/form.nightly/edit", **typed_in(opened))
    assert page.toast == "Saved."
    saved = await client.template("form.nightly")
    assert replace(saved, updated_at=before.updated_at) == before
    opened = await console.get("/templates/form.nightly/edit")
    await console.post("/templates/form.nightly/edit", **{**typed_in(opened), "priority": "high"})
    after = await client.template("form.nightly")
    assert (after.priority, after.backoff, after.callback, after.unique, after.delay_s) == (
        "high", before.backoff, before.callback, before.unique, 90,
    )  # fmt: skip


async def test_a_template_that_was_changed_meanwhile_is_not_overwritten(console: Browser, client: Client) -> None:
    """A form that was opened before another change is refused, with what was typed, and that change stays."""
    await client.put_template("form.nightly", NewJob("form.report", {"a": 1}))
    opened = await console.get("/templates/form.nightly/edit")
    await client.put_template("form.nightly", NewJob("form.report", {"a": 2}))
    page = await console.post("/templates/form.nightly/edit", **{**typed_in(opened), "key": "mine"})
    assert page.status == 422
    assert "was changed after this form was opened" in page.main
    assert typed_in(page)["key"] == "mine"
    assert (await client.template("form.nightly")).payload == {"a": 2}


async def test_a_job_is_submitted_from_a_template(console: Browser, client: Client) -> None:
    """The form for a job has what the template says, and the job is as it was typed."""
    await client.put_template("form.nightly", NewJob("form.report", {"a": 1}, key="acme", delay=600))
    page = await console.get("/jobs/new?template=form.nightly")
    fields = typed_in(page, "job")
    assert (fields["type"], fields["key"], fields["delay"]) == ("form.report", "acme", "10m")
    page = await console.post("/jobs/new", **{**fields, "payload": '{"a": 2}'})
    job = await client.get(str(page.response.url).rpartition("/")[2])
    assert (job.type, job.key, job.payload, job.state) == ("form.report", "acme", {"a": 2}, JobState.SCHEDULED)
