"""The form for a schedule, over a real ingest and without script: its faults, its preview, and what it saves."""

from datetime import UTC, datetime
from typing import Any

import pytest
from console.serving import Browser, Page

from millstream import Client, NewJob
from millstream_contracts import Backoff

NIGHTLY: dict[str, str] = {
    "name": "form.nightly", "kind": "cron", "cron": "30 2 * * *", "tz": "Europe/Paris",
    "type": "form.close", "payload": '{"order": 9007199254740993}', "overlap": "skip", "missed": "latest",
}  # fmt: skip
EVERY = {**NIGHTLY, "kind": "every", "every": "90m"}
AT = {**NIGHTLY, "kind": "at", "at": "2036-07-01 12:00"}


def typed_in(page: Page) -> dict[str, str]:
    """Return what stands in the fields of the form."""
    fields: dict[str, str] = {}
    for field in page.all("form#schedule [name]"):
        kind = field.get("type")
        if kind in {"radio", "checkbox"} and not field.has_attr("checked"):
            continue
        chosen = field.select_one("option[selected]")
        text = field.get_text().removeprefix("\n") if field.name == "textarea" else str(field.get("value") or "")
        fields[str(field["name"])] = str(chosen["value"]) if chosen else text
    return fields


async def save(console: Browser, path: str, **fields: str) -> Page:
    """Have the form show when the schedule is due, and save what it shows."""
    seen = await console.post(path, **fields)
    assert seen.status == 200, seen.main
    return await console.post(path, **typed_in(seen), act="save")


@pytest.fixture
def client(console: Browser) -> Client:
    """Return a client of the API that the console uses."""
    return console.desk.client


async def test_the_next_occasions_are_shown_before_anything_is_saved(console: Browser, client: Client) -> None:
    """The first button shows when the schedule would be due, by its clock, keeps what was typed, and saves nothing."""
    page = await console.post("/new-schedule", **NIGHTLY)
    assert len([row for row in page.rows() if " 02:30 " in row]) == 10
    assert "Every day at 02:30" in page.main
    assert "Nothing is saved yet." in page.main
    assert typed_in(page).items() >= NIGHTLY.items()
    assert (await client.schedules(name="form.")).items == []


async def test_what_was_shown_is_saved(console: Browser, client: Client) -> None:
    """The second button saves the schedule as it was typed, with every digit of its payload."""
    page = await save(console, "/new-schedule", **NIGHTLY, jitter="5m", timeout="90", tags="customer: acme")
    assert page.toast == "form.nightly is there."
    made = await client.schedule("form.nightly")
    assert (made.cron, made.tz, made.overlap, made.jitter_s) == ("30 2 * * *", "Europe/Paris", "skip", 300.0)
    assert made.job.payload == {"order": 9_007_199_254_740_993}
    assert (made.job.timeout_s, made.job.tags) == (90.0, {"customer": "acme"})


async def test_what_was_changed_after_it_was_shown_is_shown_again(console: Browser, client: Client) -> None:
    """A schedule is saved only as its occasions were shown: a form that was changed since is shown anew."""
    seen = await console.post("/new-schedule", **NIGHTLY)
    page = await console.post("/new-schedule", **{**typed_in(seen), "cron": "0 4 * * *"}, act="save")
    assert len([row for row in page.rows() if " 04:00 " in row]) == 10
    assert (await client.schedules(name="form.")).items == []


async def test_a_schedule_may_begin_paused(console: Browser, client: Client) -> None:
    """A new schedule that is to begin paused is shown as if it was resumed."""
    seen = await console.post("/new-schedule", **NIGHTLY, paused="1")
    assert "if it was resumed" in seen.main
    await console.post("/new-schedule", **typed_in(seen), act="save")
    assert (await client.schedule("form.nightly")).state == "paused"


async def test_only_the_fields_of_the_chosen_kind_count(console: Browser, client: Client) -> None:
    """An interval and a moment are saved without the expression that stands in a field of another kind."""
    await save(console, "/new-schedule", **EVERY, anchor="2026-01-01 00:30")
    made = await client.schedule("form.nightly")
    assert (made.cron, made.every_s) == (None, 5400.0)
    assert made.anchor == datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    await save(console, "/new-schedule", **{**AT, "name": "form.once"})
    assert (await client.schedule("form.once")).at == datetime(2036, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "fields", "words"),
    [
        ("name", {"name": ""}, "A schedule has a name"),
        ("name", {"name": "a b"}, "expected 1 to 128 of the characters"),
        ("cron", {"cron": ""}, "Expected when it is due"),
        ("cron", {"cron": "every day"}, "field"),
        ("cron", {"cron": "0 0 31 2 *"}, "is never due"),
        ("cron", {"cron": "*" * 300}, "length"),
        ("tz", {"tz": "Europe/Pariss"}, "did you mean Europe/Paris"),
        ("tz", {**AT, "tz": "Europe/Pariss"}, "is no time zone"),
        ("every", {**EVERY, "every": "often"}, "such as 90s, 10m"),
        ("every", {**EVERY, "every": "0s"}, "1.0"),
        ("anchor", {**EVERY, "anchor": "soon"}, "Expected a moment"),
        ("at", {**AT, "at": "2020-01-01 00:00"}, "is past"),
        ("at", {**AT, "at": "0001-01-01 00:00"}, "Expected a moment"),
        ("type", {"type": ""}, "A job has a type"),
        ("type", {"type": "a b"}, ""),
        ("payload", {"payload": "{"}, "This is no JSON"),
        ("late", {"late": "0"}, ""),
        ("max_missed", {"max_missed": "many"}, "Expected a whole number"),
        ("jitter", {"jitter": "9d"}, ""),
        ("timeout", {"timeout": "0"}, ""),
        ("tags", {"tags": "schedule: x"}, "is a tag that the schedule sets"),
        ("description", {"description": "x" * 501}, "500"),
        ("overlap", {"overlap": "no"}, ""),
    ],
)
async def test_what_is_wrong_is_said_at_its_field(
    console: Browser, client: Client, field: str, fields: dict[str, str], words: str
) -> None:
    """A field at fault is marked and said why, what was typed stays, and nothing is saved."""
    asked = {**NIGHTLY, **fields}
    page = await console.post("/new-schedule", **asked)
    assert page.status == 422
    assert words in page.the(f"#{field}-why").get_text()
    assert page.the(f'[name="{field}"][aria-invalid="true"]')["aria-describedby"] == f"{field}-why"
    assert typed_in(page).items() >= {k: v for k, v in asked.items() if k != "overlap"}.items()
    assert (await client.schedules(name="form.")).items == []


async def test_a_name_that_is_taken_is_refused(console: Browser, client: Client) -> None:
    """A new schedule does not replace another one of its name."""
    await client.put_schedule("form.nightly", "@daily", NewJob("form.close"))
    page = await console.post("/new-schedule", **NIGHTLY)
    assert (page.status, "of this name" in page.the("#name-why").get_text()) == (422, True)


async def test_editing_keeps_what_the_form_has_no_field_for(console: Browser, client: Client) -> None:
    """A form that is saved as it was opened changes nothing; and callback and backoff of the job stay."""
    options: Any = {
        "tz": "Asia/Tokyo",
        "missed": "all",
        "max_missed": 7,
        "catch_up": 7200,
        "jitter": 90,
        "seconds": True,
    }
    job = NewJob("form.close", {"a": 1}, backoff=Backoff(), callback="https://shop.example/hooks", priority="low")
    before = await client.put_schedule("form.nightly", "5 0 3 * * *", job, description="Closes the day", **options)
    opened = await console.get("/schedules/form.nightly/edit")
    page = await save(console, "/schedules/form.nightly/edit", **typed_in(opened))
    assert page.toast == "Nothing was changed."
    assert await client.schedule("form.nightly") == before
    await save(console, "/schedules/form.nightly/edit", **{**typed_in(opened), "overlap": "queue"})
    after = await client.schedule("form.nightly")
    assert (after.version, after.overlap, after.job) == (2, "queue", before.job)


async def test_a_schedule_that_was_changed_meanwhile_is_not_overwritten(console: Browser, client: Client) -> None:
    """A form that was opened before another change is refused with words, whichever button is pressed."""
    await client.put_schedule("form.nightly", "@daily", NewJob("form.close"))
    opened = typed_in(await console.get("/schedules/form.nightly/edit"))
    await client.put_schedule("form.nightly", "@hourly", NewJob("form.close"))
    page = await console.post("/schedules/form.nightly/edit", **opened, act="save")
    assert page.status == 422
    assert "was changed after this form was opened" in page.the(".qerr").get_text()
    assert (await client.schedule("form.nightly")).cron == "@hourly"


async def test_a_paused_schedule_stays_paused_when_it_is_edited(console: Browser, client: Client) -> None:
    """To edit is not to resume."""
    await client.put_schedule("form.nightly", "@daily", NewJob("form.close"), paused=True)
    opened = typed_in(await console.get("/schedules/form.nightly/edit"))
    await save(console, "/schedules/form.nightly/edit", **{**opened, "cron": "@hourly"})
    made = await client.schedule("form.nightly")
    assert (made.state, made.cron) == ("paused", "@hourly")
