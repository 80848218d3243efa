"""Decisions about jobs are shown with their number, confirmed by it above a hundred, and told when they are done."""

import pytest
from console.seeding import ERROR, MAIL, dead_jobs, past_job, remember
from console.serving import Browser
from history_seeds import store_at
from ingest.serving import Ingest
from streams.seeds import job_of, seed

from millstream_contracts import Canary, JobState
from millstream_streams import Broker


async def test_a_few_dead_jobs_are_redriven_at_once(console: Browser, broker: Broker) -> None:
    """What was done, what was left alone and what is gone is told; it needs no history."""
    dead = await dead_jobs(broker, None, 2)
    [waiting] = await seed(broker, MAIL)
    ids = [*dead, waiting, f"{MAIL.type}_0000000000000000000000000000"]
    asked = await console.get("/decide", decision="redrive", id=ids)
    assert "Redrive 4 jobs?" in asked.main
    assert asked.all("input[name=sure]") == []
    page = await console.post("/decide", decision="redrive", id=ids)
    assert page.toast.startswith("2 jobs redriven; 1 left alone")
    assert page.toast.endswith("1 is gone.")
    assert [(await job_of(broker, MAIL, one)).state for one in dead] == [JobState.QUEUED] * 2


async def test_jobs_that_are_not_dead_are_cancelled_one_by_one(console: Browser, broker: Broker) -> None:
    """Those that have ended are left alone, and the toast says why."""
    waiting = await seed(broker, MAIL, 2)
    [dead] = await dead_jobs(broker, None, 1, queue=MAIL.__class__(MAIL.tenant, MAIL.type.__class__("sms.send")))
    page = await console.post("/decide", decision="cancel", id=[*waiting, dead])
    assert page.toast.startswith("2 jobs cancelled; 1 left alone: ")
    assert [(await job_of(broker, MAIL, one)).state for one in waiting] == [JobState.CANCELLED] * 2


async def test_what_waits_for_its_time_is_run_now(console: Browser, broker: Broker) -> None:
    """Few jobs are ready at once; what is dead is left alone."""
    late = await seed(broker, MAIL, 2, delay_ms=600_000)
    [dead] = await dead_jobs(broker, None, 1, queue=MAIL.__class__(MAIL.tenant, MAIL.type.__class__("sms.send")))
    page = await console.post("/decide", decision="run-now", id=[*late, dead])
    assert page.toast.startswith("2 jobs made ready; 1 left alone: ")
    assert [(await job_of(broker, MAIL, one)).state for one in late] == [JobState.QUEUED] * 2


async def test_a_priority_is_chosen_for_all_that_match(
    archive: Browser, remembering: Ingest, broker: Broker, history_url
) -> None:
    """The page asks which one, and starts an operation with it."""
    for job_id in await seed(broker, MAIL, 2):
        await store_at(history_url, MAIL, await job_of(broker, MAIL, job_id))
    asked = await archive.get("/decide", decision="priority", scope="match", frozen="type:email.send")
    assert "Change priority 2 jobs?" in asked.main
    assert [option["value"] for option in asked.all("select[name=priority] option")] == ["high", "normal", "low"]
    form = {"decision": "priority", "scope": "match", "frozen": "type:email.send", "priority": "low"}
    page = await archive.post("/decide", **form)
    [operation] = (await remembering.get("/v1/operations"))["items"]
    assert (operation["kind"], operation["priority"]) == ("priority", "low")
    assert "Priority low" in page.main


async def test_the_number_of_more_than_a_hundred_jobs_has_to_be_typed(
    archive: Browser, remembering: Ingest, history_url
) -> None:
    """The server asks for it too: without it, or with another, nothing is started, and what was filled in is kept."""
    await remember(history_url, *(past_job(number, state=JobState.DEAD) for number in range(101)))
    asked = await archive.get("/decide", decision="discard", scope="match", frozen="state:dead")
    assert asked.the("input[name=sure]")["data-confirm"] == "101"
    form = {"decision": "discard", "scope": "match", "frozen": "state:dead", "told": "101", "rate": "7"}
    for typed in ("", "100", "nonsense"):
        page = await archive.post("/decide", **form, sure=typed)
        assert (page.status, page.the("#sure-why").text) == (
            422,
            "Type 101 to confirm: that is how many jobs this is about.",
        )
        assert page.the("input[name=rate]")["value"] == "7"
    # A page that is older than what it tells: it knew of fewer jobs than need a number.
    page = await archive.post("/decide", **{**form, "told": "60"}, sure="60")
    assert "There are 101 of them by now" in page.main
    assert (await remembering.get("/v1/operations"))["items"] == []
    page = await archive.post("/decide", **form, sure="101")
    [operation] = (await remembering.get("/v1/operations"))["items"]
    assert page.toast == "It has started."
    assert str(page.response.url).endswith(f"/operations/{operation['id']}")
    assert (operation["kind"], operation["q"], operation["rate"]) == ("discard", "state:dead", 7.0)


async def test_a_redrive_of_a_group_has_a_canary(archive: Browser, remembering: Ingest, history_url) -> None:
    """The canary, its limit and the rate are those of the form."""
    await remember(
        history_url, past_job(state=JobState.DEAD, error=ERROR), past_job(1, state=JobState.DEAD, error=ERROR)
    )
    group = await archive.get("/errors/group", type="email.send", fingerprint="v2:abc")
    fields = {one["name"]: one["value"] for one in group.all("#redrive input[type=hidden]")}
    page = await archive.post("/decide", **fields, how="canary", canary="1", stop_above="25", rate="2")
    assert page.toast == "Its canary has started; the rest waits for it."
    [operation] = (await remembering.get("/v1/operations"))["items"]
    assert operation["group"] == {"type": "email.send", "fingerprint": "v2:abc"}
    assert (
        operation["canary"]
        == {"count": 1, "max_failure": 0.25}
        == {"count": Canary(1, 0.25).count, "max_failure": 0.25}
    )


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("rate", "fast", "A rate is a number"),
        ("rate", "0", "A rate is a number"),
        ("canary", "0", "A canary has from 1"),
    ],
)
async def test_numbers_that_mean_nothing_are_told(
    archive: Browser, remembering: Ingest, history_url, field, typed, says
) -> None:
    """A wrong number is told, kept, and starts nothing."""
    await remember(history_url, past_job(state=JobState.DEAD, error=ERROR))
    page = await archive.post("/decide", decision="redrive", scope="match", frozen="state:dead", **{field: typed})
    assert page.status == 422
    assert says in page.main
    assert page.the(f"input[name={field}]")["value"] == typed
    assert (await remembering.get("/v1/operations"))["items"] == []


async def test_a_patch_is_shown_before_it_is_done(archive: Browser, remembering: Ingest, history_url) -> None:
    """A patch that is no object is refused at its field; a dry run changes nothing, and needs no number."""
    await remember(history_url, past_job(state=JobState.DEAD, error=ERROR))
    form = {"decision": "patch", "type": "email.send", "fingerprint": "v2:abc", "how": "all"}
    page = await archive.post("/decide", **form, patch="[1]")
    assert "A patch is a JSON object" in page.the("#patch-why").text
    assert page.the("textarea[name=patch]").text.strip() == "[1]"
    await archive.post("/decide", **form, patch='{"n": 9007199254740993}', dry_run="1")
    [operation] = (await remembering.get("/v1/operations"))["items"]
    assert (operation["kind"], operation["dry_run"], operation["patch"]) == ("patch", True, {"n": 9007199254740993})


async def test_nothing_selected_is_told(console: Browser) -> None:
    """A decision about no job leads back."""
    page = await console.post("/decide", decision="redrive", back="/jobs?state=dead")
    assert page.toast == "No job is selected."
    assert str(page.response.url).endswith("/jobs?state=dead")


async def test_all_that_wait_are_cancelled_by_an_operation(
    archive: Browser, remembering: Ingest, broker: Broker, history_url
) -> None:
    """Of all that match, those that have not ended are counted; the others are told and left alone."""
    waiting = await seed(broker, MAIL, 2)
    for job_id in waiting:
        await store_at(history_url, MAIL, await job_of(broker, MAIL, job_id))
    await remember(history_url, past_job(), past_job(1, state=JobState.DEAD, error=ERROR))
    asked = await archive.get("/decide", decision="cancel", scope="match", frozen="type:email.send")
    assert "Cancel 2 jobs?" in asked.main
    assert "2 of them are at their end, or dead, and left alone." in asked.main
    await archive.post("/decide", decision="cancel", scope="match", frozen="type:email.send")
    [operation] = (await remembering.get("/v1/operations"))["items"]
    assert (operation["kind"], operation["q"]) == ("cancel", "type:email.send")


async def test_a_decision_about_no_job_of_its_kind_says_so(archive: Browser, history_url) -> None:
    """Where none of those that were chosen fits, there is nothing to confirm."""
    await remember(history_url, past_job())
    page = await archive.get("/decide", decision="redrive", scope="match", frozen="type:email.send")
    assert "None of them is dead" in page.main
    assert page.all("form[method=post]") == []


async def test_more_than_a_hundred_ids_are_an_operation(archive: Browser, remembering: Ingest) -> None:
    """A request does not act on jobs one after the other for as long as there are any."""
    ids = [f"{MAIL.type}_{number:028}" for number in range(101)]
    form = {"decision": "cancel", "id": ids, "told": "101"}
    assert (await archive.post("/decide", **form)).status == 422
    page = await archive.post("/decide", **form, sure="101")
    [operation] = (await remembering.get("/v1/operations"))["items"]
    assert str(page.response.url).endswith(operation["id"])
    assert (operation["kind"], operation["jobs"]) == ("cancel", 101)


async def test_what_a_search_finds_is_exported(archive: Browser, remembering: Ingest, history_url) -> None:
    """The form has the format, the name and whether payloads are written; nothing has to be typed."""
    await remember(history_url, *(past_job(number) for number in range(102)))
    listed = await archive.get("/jobs", q="type:email.send")
    asked = await archive.get(next(link["href"] for link in listed.all("header a.btn") if "Export" in link.text))
    assert "Export 102 jobs?" in asked.main
    assert asked.all("input[name=sure]") == []
    frozen = asked.the("input[name=frozen]")["value"]
    form = {"decision": "export", "scope": "match", "frozen": frozen, "told": "102"}
    page = await archive.post("/decide", **form, format="csv", payloads="1", name="mails")
    [operation] = (await remembering.get("/v1/operations"))["items"]
    assert str(page.response.url).endswith(operation["id"])
    assert (operation["kind"], operation["q"]) == ("export", frozen)
    assert operation["export"] == {"format": "csv", "payloads": True, "name": "mails"}


async def test_a_name_that_a_file_cannot_have_is_told(archive: Browser, remembering: Ingest, history_url) -> None:
    """What was filled in of an export comes back with what is wrong."""
    await remember(history_url, past_job())
    form = {"decision": "export", "scope": "match", "frozen": "type:email.send", "format": "parquet", "payloads": "1"}
    page = await archive.post("/decide", **form, name="n" * 201)
    assert (page.status, page.the("#name-why").text) == (422, "A name has at most 200 characters.")
    assert page.the("option[selected]")["value"] == "parquet"
    assert page.all("input[name=payloads][checked]")
    assert (await remembering.get("/v1/operations"))["items"] == []


async def test_an_erasure_always_asks_for_the_number(archive: Browser, remembering: Ingest, history_url) -> None:
    """One job is erased only by its number, by an operation; counting needs none."""
    job = past_job()
    await remember(history_url, job)
    asked = await archive.get("/decide", decision="erase", id=[job.id])
    assert "Jobs that run are refused and reported" in asked.main
    assert "This cannot be undone." in asked.main
    assert asked.the("input[name=sure]")["data-confirm"] == "1"
    form = {"decision": "erase", "id": [job.id], "told": "1"}
    for typed in ("", "2"):
        refused = await archive.post("/decide", **form, sure=typed)
        assert (refused.status, refused.the("#sure-why").text) == (
            422,
            "Type 1 to confirm: that is how many jobs this is about.",
        )
    assert (await remembering.get("/v1/operations"))["items"] == []
    counted = await archive.post("/decide", **form, dry_run="1")
    assert counted.toast == "It counts, and changes nothing."
    await archive.post("/decide", **form, sure="1")
    operations = (await remembering.get("/v1/operations"))["items"]
    assert [(one["kind"], one["dry_run"], one["jobs"]) for one in operations] == [
        ("erase", False, 1),
        ("erase", True, 1),
    ]


@pytest.mark.parametrize("frozen", ["", "until:2026-11-27T09:00:00.000Z"])
async def test_everything_cannot_be_erased(archive: Browser, remembering: Ingest, history_url, frozen) -> None:
    """A list that nothing was searched for is refused to erase, asked for or confirmed."""
    await remember(history_url, past_job())
    form = {"decision": "erase", "scope": "match", "frozen": frozen}
    asked = await archive.get("/decide", **form)
    assert "Search for the jobs first" in asked.main
    assert asked.all("form[method=post]") == []
    await archive.post("/decide", **form, told="1", sure="1")
    assert (await remembering.get("/v1/operations"))["items"] == []
