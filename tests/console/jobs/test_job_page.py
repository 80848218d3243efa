"""The page of one job, what its buttons do, and the form by which it is submitted again."""

import json

from console.seeding import BIG, DIED, ERROR, HOSTILE, MAIL, dead_jobs, past_job, remember
from console.serving import Browser, running_console
from history_seeds import events_of, store_at
from ingest.serving import Ingest
from msgspec.structs import replace
from streams.seeds import commit, job_of, seed, seed_running
from waiting import wait_until

from millstream_console.pages.job.job_page import MAX_ATTEMPTS
from millstream_console.settings import ConsoleSettings
from millstream_contracts import (
    DEFAULT_TENANT,
    Dead,
    EventKind,
    JobState,
    JobType,
    KeptLine,
    KeptLines,
    Priority,
    Queue,
    TypePolicy,
    TypeRegistration,
    Waiting,
)
from millstream_streams import Broker, UniqueKey

SCHEMA = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}


async def test_a_dead_job_says_why_and_shows_its_attempts(archive: Browser, history_url) -> None:
    """The course, the reason, each attempt with its error, users' own frames, and folded ones of libraries."""
    job = past_job(state=JobState.DEAD, error=ERROR, reason="attempts", attempts=2, payload={"n": BIG})
    await remember(history_url, job)
    page = await archive.get(f"/jobs/{job.id}")
    assert [step.select_one("b").text for step in page.all(".path li")] == [
        "queued, 2 times",
        "running, 2 times",
        "waited to retry",
        "dead",
    ]
    assert "It will not run by itself: all 2 attempts failed, the last with MailError" in page.main
    assert "from the history" in page.main
    assert len(page.all(".try")) == 2
    assert [frame.select_one("b").text for frame in page.all(".try[open] > div > .tb > .own")] == ["email"]
    assert "2 frames of libraries" not in page.main
    assert "2 frames of aiosmtplib, asyncio" in page.main
    assert "Caused by TimeoutError in shop/mail.py:10" in page.main
    assert str(BIG) in page.main


async def test_a_unique_job_says_for_how_long_it_holds_its_key(console: Browser, broker: Broker) -> None:
    """The page of a unique job has its key, which is text of users, and until when the job holds it."""
    await broker.registry.add_queues([MAIL])
    for scope, told in {
        "queued": "until it starts",
        "running": "until it has ended",
        "window": "for a time, until",
    }.items():
        held_ms = 3_600_000 if scope == "window" else None
        unique = UniqueKey(scope, f"{len(told):032x}", "return", held_ms, f"<b>acme</b> {scope}")
        [job_id] = await seed(broker, MAIL, unique=unique)
        page = await console.get(f"/jobs/{job_id}")
        assert f"<b>acme</b> {scope}" in page.main
        assert told in page.main


async def test_a_job_that_waits_for_the_quota_of_its_tenant_says_so(console: Browser, broker: Broker) -> None:
    """The page of such a job has the quota and how many jobs run."""
    await console.desk.client.change_tenant("default", quotas={"jobs_running": 0})
    await broker.registry.add_queues([MAIL])
    [waiting] = await seed(broker, MAIL)
    page = await console.get(f"/jobs/{waiting}")
    assert "The quota of its tenant holds it back: its tenant may run 0 jobs at once, and runs 0" in page.main


async def test_a_waiting_job_says_what_it_waits_for(console: Browser, broker: Broker) -> None:
    """A job that no worker handles says so; one of a paused queue names the queue; one that is due later says when."""
    await broker.registry.add_queues([MAIL])
    [waiting] = await seed(broker, MAIL)
    assert "No live worker handles email.send" in (await console.get(f"/jobs/{waiting}")).main
    await broker.client.hset(broker.keys.of(MAIL).settings, "paused", "1")
    page = await console.get(f"/jobs/{waiting}")
    assert "Its queue is paused" in page.main
    # Each reason leads to what would change it.
    assert [link["href"] for link in page.all("#live_why .notice a")] == ["/queues/email.send", "/workers"]
    [later] = await seed(broker, MAIL, delay_ms=3_600_000)
    page = await console.get(f"/jobs/{later}")
    assert "It is not due yet: it becomes ready in 59 m" in page.main or "ready in 1 h" in page.main
    assert page.the("#live_why .notice")


async def test_a_blocked_job_says_for_what_it_waits(console: Browser, broker: Broker, ingest: Ingest) -> None:
    """The page of a blocked job leads to those for which it waits, and theirs lead to it; a dead one is told of."""
    parent = await seed_running(broker, MAIL)
    child = await ingest.submit(after=[parent.id])
    page = await console.get(f"/jobs/{child['id']}")
    assert f"It is blocked: it waits for {parent.id} , which is running." in page.main
    assert [link["href"] for link in page.all("#live_around a")] == [f"/jobs/{parent.id}"]
    assert [link["href"] for link in (await console.get(f"/jobs/{parent.id}")).all("#live_around a")] == [
        f"/jobs/{child['id']}"
    ]
    await commit(broker, parent, Dead("attempts", ERROR))
    page = await console.get(f"/jobs/{child['id']}")
    assert "It waits for a decision:" in page.main
    assert [link["href"] for link in page.all("#live_why a")] == [f"/jobs/{parent.id}"]


async def test_a_cancelled_job_names_the_one_for_which_it_waited(
    console: Browser, broker: Broker, ingest: Ingest
) -> None:
    """The page of a job that was cancelled by its parent says so, and leads there."""
    [parent] = await seed(broker, MAIL)
    await broker.store.cancel(MAIL, [parent])
    child = await ingest.submit(after=[parent])
    page = await console.get(f"/jobs/{child['id']}")
    assert "for which it waited, was cancelled." in page.main
    assert [link["href"] for link in page.all("#live_why a")] == [f"/jobs/{parent}"]


async def test_a_job_is_submitted_with_jobs_to_wait_for(console: Browser, broker: Broker) -> None:
    """The form takes ids of jobs to wait for, and says which of them is not known."""
    [parent] = await seed(broker, MAIL)
    draft = {"type": MAIL.type, "payload": "null", "priority": "normal"}
    page = await console.post("/jobs/new", **draft, after=f"{parent}\n")
    assert "It is blocked" in page.main


async def test_the_key_of_a_job_is_shown_and_kept(console: Browser, ingest: Ingest) -> None:
    """The page of a job shows its key, and the form and the calls that submit it once more have it."""
    made = await ingest.submit(key="<acme> & co")
    page = await console.get(f"/jobs/{made['id']}")
    assert "<acme> & co" in page.the("#live_facts").get_text()
    page = await console.get(f"/jobs/{made['id']}/copy")
    assert '"key": "<acme> & co"' in page.the("#as-curl").get_text()
    assert "key='<acme> & co'" in page.the("#as-python").get_text()
    form = await console.get(f"/jobs/{made['id']}/edit")
    assert form.the("input[name=key]")["value"] == "<acme> & co"
    draft = {"type": MAIL.type, "payload": "null", "priority": "normal"}
    page = await console.post("/jobs/new", **draft, key="other")
    assert "Keyother" in page.the("#live_facts").get_text().replace("\n", "").replace(" ", "")


async def test_a_job_that_there_is_not_is_told(console: Browser) -> None:
    """A wrong id is answered with 404, in words."""
    page = await console.get("/jobs/email.send_0000000000000000000000000000", 404)
    assert "There is no such job" in page.text


async def test_a_job_is_run_now_and_given_a_priority(console: Browser, broker: Broker) -> None:
    """A scheduled job offers both; one that is ready only the priority."""
    [late] = await seed(broker, MAIL, delay_ms=600_000)
    path = f"/jobs/{late}"
    page = await console.post(f"{path}/priority", priority="high")
    assert page.toast == "Its priority is high."
    assert page.the("dialog#priority option[selected]")["value"] == "high"
    page = await console.post(f"{path}/run-now")
    assert page.toast == "It is ready."
    assert page.all(f"form[action$='{path}/run-now']") == []
    job = await job_of(broker, MAIL, late)
    assert (job.state, job.priority) == (JobState.QUEUED, Priority.HIGH)


async def test_a_job_is_cancelled_redriven_and_discarded(console: Browser, broker: Broker) -> None:
    """Each button does what it says, and the next page says what was done, or why it was not."""
    [waiting] = await seed(broker, MAIL)
    page = await console.post(f"/jobs/{waiting}/cancel")
    assert "A job that waits has ended" in page.toast
    assert (await job_of(broker, MAIL, waiting)).state is JobState.CANCELLED
    page = await console.post(f"/jobs/{waiting}/redrive")
    assert "only a dead one" in page.toast
    [dead, other] = await dead_jobs(broker, None, 2)
    page = await console.post(f"/jobs/{dead}/redrive")
    assert page.toast == "It is queued again, with fresh attempts."
    assert (await job_of(broker, MAIL, dead)).state is JobState.QUEUED
    page = await console.post(f"/jobs/{other}/discard")
    assert page.toast == "1 job discarded."
    assert (await job_of(broker, MAIL, other)).state is JobState.CANCELLED


async def test_requests_of_another_site_change_nothing(console: Browser, broker: Broker) -> None:
    """A form that another site sends is refused before it does anything."""
    [waiting] = await seed(broker, MAIL)
    for path in (f"/jobs/{waiting}/cancel", "/jobs/new", "/decide"):
        refused = await console.http.post(path, data={"id": waiting}, headers={"sec-fetch-site": "cross-site"})
        assert refused.status_code == 403, path
    assert (await job_of(broker, MAIL, waiting)).state is JobState.QUEUED


async def test_a_job_is_edited_and_submitted_again(console: Browser, broker: Broker) -> None:
    """The form has what the job was submitted with, to the last digit; what is changed makes a new job."""
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=MAIL.type, policy=TypePolicy())])
    [source] = await seed(broker, MAIL, payload={"n": BIG, "to": HOSTILE})
    form = await console.get(f"/jobs/{source}/edit")
    text = form.the("textarea[name=payload]").text
    assert str(BIG) in text
    assert json.loads(text)["to"] == HOSTILE
    assert text.isascii(), "what turns the direction of a text is spelled out"
    page = await console.post("/jobs/new", source=source, type="email.send", payload=text, tags="a: b", delay="60")
    assert page.toast == "Submitted."
    new = str(page.response.url).rpartition("/")[2]
    job = await job_of(broker, MAIL, new)
    assert (job.payload, job.tags, job.state) == ({"n": BIG, "to": HOSTILE}, {"a": "b"}, JobState.SCHEDULED)
    assert new != source


async def test_what_is_wrong_is_told_at_its_field_and_nothing_is_lost(console: Browser, broker: Broker) -> None:
    """The refusal of the API stands at the field that it is about, and what was typed is still there."""
    registration = TypeRegistration(type=JobType("email.strict"), policy=TypePolicy(), payload_schema=SCHEMA)
    await broker.registry.add_types(DEFAULT_TENANT, [registration])
    good = {"type": "email.strict", "payload": '{"to": "x"}'}

    async def is_known() -> bool:
        return (await console.post("/jobs/new", **{**good, "payload": "1"})).status == 422

    # It remembers for some seconds which types there are.
    await wait_until(is_known, "ingest knows the type")
    for field, typed, says in (
        ("payload", '{"to": 1}', "/to"),
        ("payload", '{"to":', "This is no JSON"),
        ("payload", "[" * 100_000, "nested too deeply"),
        ("payload", '{"to": NaN}', "JSON has no NaN"),
        ("type", "No Type", ""),
        ("type", "", "A job has a type"),
        ("delay", "soon", "Expected a length of time"),
        ("delay", "-1", ""),
        ("max_attempts", "0", ""),
        ("max_attempts", "1.5", "Expected a whole number"),
        ("timeout", "1e99", ""),
        ("tags", "no colon", "Expected name: value"),
    ):
        page = await console.post("/jobs/new", **{**good, field: typed})
        assert page.status == 422, (field, typed)
        assert page.the(f"[name={field}]").get("aria-invalid") == "true", (field, typed, page.main[:500])
        assert says in page.the(f"#{field}-why").text
        shown = page.the(f"[name={field}]")
        assert (shown.text.lstrip("\n") if shown.name == "textarea" else shown["value"]) == typed


async def test_the_stack_of_a_job_that_does_not_run_is_explained(console: Browser, broker: Broker) -> None:
    """Where nothing runs, the page says why there is no stack."""
    [waiting] = await seed(broker, MAIL)
    assert "That is not known" in (await console.get(f"/jobs/{waiting}/stack")).main


async def test_secrets_are_dots_by_their_names(console: Browser, broker: Broker, ingest: Ingest) -> None:
    """Payload and copies have dots under the names of secrets, and the copies say so; a setting shows all."""
    [job_id] = await seed(broker, MAIL, payload={"to": "ann", "smtp": {"api-key": "hunter2"}, "token": 77})
    page = await console.get(f"/jobs/{job_id}")
    assert "hunter2" not in page.html
    assert '"ann"' in page.main
    copied = await console.get(f"/jobs/{job_id}/copy")
    assert "hunter2" not in copied.html
    assert "Some values are hidden" in copied.main
    async with running_console(ConsoleSettings(url=str(ingest.http.base_url), console_masked=())) as open_console:
        assert "hunter2" in (await open_console.get(f"/jobs/{job_id}")).html
        assert "Some values are hidden" not in (await open_console.get(f"/jobs/{job_id}/copy")).main


async def test_a_job_is_copied_as_calls_that_would_submit_it(console: Browser, broker: Broker) -> None:
    """The command and the lines of Python have the payload, quoted so that a shell and Python read it as it is."""
    [job_id] = await seed(broker, MAIL, payload={"it's": HOSTILE, "n": BIG})
    page = await console.get(f"/jobs/{job_id}/copy")
    assert str(BIG) in page.the("#as-curl").text
    assert page.the("#as-curl").text.isascii()
    assert json.loads(page.the("#as-json").text)["payload"]["it's"] == HOSTILE
    assert page.the("#as-json").text.isascii()
    namespace: dict[str, object] = {}
    line = next(line for line in page.the("#as-python").text.splitlines() if "client.submit" in line)
    exec("client = type('C', (), {'submit': staticmethod(lambda *a, **k: (a, k))})\n" + line.strip(), namespace)
    assert namespace["job"] == (("email.send", {"it's": HOSTILE, "n": BIG}), {})


async def test_a_trace_leads_to_where_traces_are_shown(broker: Broker, ingest: Ingest) -> None:
    """The id of a trace is a link where an address is set."""
    settings = ConsoleSettings(url=str(ingest.http.base_url), console_trace_url="https://tempo.example/{trace_id}?x=1")
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=MAIL.type, policy=TypePolicy())])
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    response = await ingest.http.post("/v1/jobs", json={"type": "email.send"}, headers=headers)
    job = response.json()
    async with running_console(settings) as browser:
        page = await browser.get(f"/jobs/{job['id']}")
    links = [link["href"] for link in page.all("a[rel=noreferrer]")]
    assert set(links) == {f"https://tempo.example/{job['trace_id']}?x=1"}


async def test_a_running_job_shows_where_it_runs(console: Browser, broker: Broker) -> None:
    """The worker is named, and cancelling asks it to stop."""
    delivery = await seed_running(broker, MAIL, "w-9")
    page = await console.get(f"/jobs/{delivery.id}")
    assert "It is running" in page.main
    assert "w-9" in page.main
    await console.post(f"/jobs/{delivery.id}/cancel")
    assert "It was asked to stop" in (await console.get(f"/jobs/{delivery.id}")).main


async def test_deliveries_that_tell_of_a_job_are_linked(archive: Browser, history_url) -> None:
    """The calls of webhooks that tell of a job stand beside it, each with its event and what became of it."""
    job = past_job()
    calls = Queue(DEFAULT_TENANT, JobType("webhook.call"))
    tags = {"endpoint": "callbacks", "event": "succeeded", "job": job.id}
    call = past_job(queue=calls, state=JobState.DEAD, tags=tags, attempts=3)
    await remember(history_url, job)
    await store_at(history_url, calls, call)
    page = await archive.get(f"/jobs/{job.id}")
    assert "succeeded to callbacks dead" in page.main
    assert [link["href"] for link in page.all("aside .notice a")] == [f"/jobs/{call.id}"]


async def test_of_very_many_attempts_the_newest_are_shown(archive: Browser, history_url) -> None:
    """A job that was tried very often has a page all the same, and it says what is left out."""
    job = past_job(state=JobState.DEAD, error=ERROR, attempts=MAX_ATTEMPTS + 2)
    tried = ((EventKind.STARTED, "running"), (EventKind.RETRYING, "queued")) * (MAX_ATTEMPTS + 2)
    steps = ((EventKind.SUBMITTED, "queued"), *tried)
    await store_at(history_url, MAIL, job, events_of(job, steps, at_ms=round(job.created_at.timestamp() * 1000)))
    page = await archive.get(f"/jobs/{job.id}")
    assert [row.select_one("b").text for row in page.all(".try")][:1] == [str(MAX_ATTEMPTS + 2)]
    assert len(page.all(".try")) == MAX_ATTEMPTS
    assert "2 earlier ones are not shown" in page.main


async def test_a_job_that_waits_for_a_signal_is_sent_one(console: Browser, broker: Broker) -> None:
    """The page of a durable job shows its steps and for what it waits, and sends a signal; what is no JSON is told."""
    await broker.registry.add_queues([MAIL])
    held = await seed_running(broker, MAIL)
    await broker.steps.save_step(held, "charge <b>", "2", "step", b"\xc0")
    await broker.steps.await_step(held, "approved", "approved", "+3600000")
    await commit(broker, held, Waiting("approved", 3_600_000))
    page = await console.get(f"/jobs/{held.id}")
    assert "It waits for the signal approved" in page.main
    kept = [item.text for item in page.all("#live_around .notice")]
    assert ["charge <b>" in kept[0], "version 2" in kept[0], "waits" in kept[1]] == [True] * 3
    assert page.the('#signal input[name="name"]')["value"] == "approved"
    page = await console.post(f"/jobs/{held.id}/signal", name="approved", payload="{")
    assert "The payload is not JSON" in page.toast
    page = await console.post(f"/jobs/{held.id}/signal", name="No", payload="")
    assert "the name of a signal" in page.toast
    page = await console.post(f"/jobs/{held.id}/signal", name="approved", payload='{"by": "ann"}')
    assert "The job goes on." in page.toast
    assert (await job_of(broker, MAIL, held.id)).state is JobState.QUEUED


async def test_an_attempt_shows_its_log_lines(remembering: Ingest, broker: Broker, history_url) -> None:
    """Log lines are folded below their attempt, inert and without secrets, and lead to where all of them are."""
    job = past_job(state=JobState.DEAD, error=ERROR, reason="attempts", attempts=2, trace_id="4bf92f3577b34da6")
    at_ms = round(job.created_at.timestamp() * 1000)
    *before, end = events_of(job, DIED, at_ms=at_ms)
    lines = [
        KeptLine(at_ms, "warning", HOSTILE, {HOSTILE: HOSTILE, "password": "hunter2"}),
        KeptLine(at_ms, HOSTILE, "gave up", {"exception": f"Traceback\n{HOSTILE}"}),
    ]
    end = replace(end, jobs=[replace(end.jobs[0], log_lines=KeptLines(1_200, lines))])
    await store_at(history_url, MAIL, job, [*before, end])
    pattern = "https://logs.example.com/?q={job_id}&trace={trace_id}&type={type}"
    settings = ConsoleSettings(url=str(remembering.http.base_url), console_log_url=pattern)
    async with running_console(settings) as console:
        page = await console.get(f"/jobs/{job.id}")
    [folded] = page.all(".try .fold:has(.logs)")
    assert "open" not in folded.attrs
    assert folded.select_one("summary").text == "2 log lines, 1,200 earlier ones were not kept"
    assert "hunter2" not in page.main
    assert folded.select("script, img") == []
    assert "window.hacked" in folded.text
    links = [link["href"] for link in page.all("a") if link.text.startswith("All its logs")]
    assert links == [f"https://logs.example.com/?q={job.id}&trace=4bf92f3577b34da6&type=email.send"]


async def test_an_id_that_is_nearly_that_of_a_job_leads_there(archive: Browser, history_url) -> None:
    """An id that was cut, or has a few wrong characters, leads to the job; one that is like none leads nowhere."""
    job, other = past_job(), past_job(7200)
    await remember(history_url, job, other)
    flipped = "A" if job.id[-1] != "A" else "B"
    typed = (job.id[:-9], job.id[:-1] + flipped, job.id.lower(), f"{job.id[:-9]}…"[:-1])
    for text in typed:
        page = await archive.get(f"/jobs/{text}", status=404)
        assert [link["href"] for link in page.all("p .mono")] == [f"/jobs/{job.id}"]
    for text in (f"other_{job.id.rpartition('_')[2]}", "hello", f"{job.id[:-12]}{'Z' * 12}", "%3Cscript%3E"):
        page = await archive.get(f"/jobs/{text}", status=404)
        assert page.all("p .mono") == []


async def test_without_a_history_no_id_is_near(console: Browser) -> None:
    """Nothing can be looked for there, and the page says that there is no such job."""
    page = await console.get(f"/jobs/{past_job().id}", status=404)
    assert "There is no such page" in page.text


SECRET = "canary-4711"
SECRETS = {"type": "object", "properties": {"pin": {"x-secret": True, "type": "string"}}}


async def test_no_page_has_what_a_handler_declares_as_secret(archive: Browser, broker: Broker, history_url) -> None:
    """Pages of a job and of its error, its copies and its form have masks, whatever the name of the field."""
    queue = Queue(DEFAULT_TENANT, JobType("email.secret"))
    registration = TypeRegistration(
        type=queue.type, policy=TypePolicy(), payload_schema=SECRETS, result_schema={"x-secret": True}
    )
    await broker.registry.add_types(DEFAULT_TENANT, [registration])
    payload = {"pin": SECRET, "to": "ann"}
    error = replace(ERROR, fingerprint="v2:secret")
    past = past_job(queue=queue, state=JobState.DEAD, error=error, reason="attempts", attempts=2, payload=payload)
    given = past_job(1, queue=queue, payload=payload, result=SECRET)
    await remember(history_url, past, given, queue=queue)
    [live] = await seed(broker, queue, payload=payload)

    async def is_known() -> bool:
        return (await archive.post("/jobs/new", type="email.secret", payload='{"pin": "***"}')).status == 422

    await wait_until(is_known, "ingest knows the new type")
    paths = [f"/jobs/{one}{page}" for one in (past.id, given.id, live) for page in ("", "/copy", "/edit")]
    for path in [*paths, "/errors/group?type=email.secret&fingerprint=v2:secret"]:
        page = await archive.get(path)
        assert SECRET not in page.text, path
        assert "***" in page.text, path
        assert "ann" in page.text, path
    form = await archive.get(f"/jobs/{live}/edit")
    assert "Type them in" in form.main
    text = form.the("textarea[name=payload]").text
    refused = await archive.post("/jobs/new", source=live, type="email.secret", payload=text)
    assert "/pin: is secret" in refused.the("#payload-why").text
