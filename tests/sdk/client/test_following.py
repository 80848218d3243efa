"""Both clients read jobs, wait for them and act on them over a real connection."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sdk.client.scripted_api import Connect, Reply, ScriptedApi, job_body, problem

from millstream import ApiError, JobFailedError, JobRef, ResultError, UnavailableError, WaitTimeoutError


async def test_get_reads_a_job_in_either_encoding(connect: Connect, api: ScriptedApi) -> None:
    """A response is decoded by its content type, whatever the client asked for."""
    for content_type in (
        "application/vnd.msgpack",
        "application/msgpack",
        "application/x-msgpack",
        "application/json; charset=utf-8",
        "Application/JSON",
    ):
        api.script.append(Reply(200, job_body("x_1", attempts=2), content_type))
        job = await connect().get("x_1")
        assert (job.id, job.attempts, job.created_at) == ("x_1", 2, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert {request.path for request in api.received} == {"/v1/jobs/x_1"}


async def test_result_returns_what_the_handler_returned(connect: Connect, api: ScriptedApi) -> None:
    """A handle waits on the server and returns the decoded result."""
    handle = await connect().submit("x")
    api.script.append(Reply(200, job_body(handle.id, "succeeded", result={"sum": 3})))
    assert await handle.result(timeout=12) == {"sum": 3}
    assert api.received[-1].path == f"/v1/jobs/{handle.id}"
    assert 11 < float(api.received[-1].query["wait"][0]) <= 12


class Receipt(msgspec.Struct):
    """A result."""

    order_id: int
    at: datetime


RECEIPT = {"order_id": 7, "at": "2026-01-02T03:04:05Z"}
charge = JobRef("order.charge", takes=dict[str, int], gives=Receipt)


async def test_result_is_what_the_reference_gives(connect: Connect, api: ScriptedApi) -> None:
    """The result of a job is decoded into the type of its reference, by a handle or the client, in both encodings."""
    client, expected = connect(), Receipt(7, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    handle = await client.submit(charge, {"id": 7})
    assert api.received[-1].body == {"type": "order.charge", "payload": {"id": 7}}
    for content_type in ("application/vnd.msgpack", "application/json"):
        api.script.extend([Reply(200, job_body(handle.id, "succeeded", result=RECEIPT), content_type)] * 3)
        assert await handle.result() == expected
        assert await client.result(charge, handle.id) == expected
        assert await (await client.job(charge, handle.id)).result() == expected


async def test_result_of_a_type_by_its_name_is_what_is_asked_for(connect: Connect, api: ScriptedApi) -> None:
    """The result of a job that was submitted by name is plain data, or decoded into what `into` says."""
    client = connect()
    handle = await client.submit("order.charge", {"id": 7})
    api.script.extend([Reply(200, job_body(handle.id, "succeeded", result=RECEIPT))] * 5)
    assert await handle.result() == RECEIPT
    assert (await handle.result(into=Receipt)).order_id == 7
    assert await client.result(handle.id, 5) == RECEIPT
    assert (await client.result(handle.id, timeout=5, into=Receipt)).order_id == 7
    assert await client.result(job_id=handle.id) == RECEIPT


async def test_result_raises_when_it_is_of_another_type(connect: Connect, api: ScriptedApi) -> None:
    """A result that does not fit the type of its reference raises an error with the job, the type and the field."""
    handle = await connect().submit(charge, {"id": 7})
    api.script.append(Reply(200, job_body(handle.id, "succeeded", result={**RECEIPT, "order_id": "x"})))
    with pytest.raises(ResultError, match=rf"the result of {handle.id} is no Receipt: .*`\$\.order_id`"):
        await handle.result()


async def test_handle_of_an_id_knows_nothing_else_of_the_job(connect: Connect, api: ScriptedApi) -> None:
    """A handle that was made of an id reads, waits for and cancels its job, and has no job as it was submitted."""
    handle = await connect().job("order.charge", "order.charge_1")
    with pytest.raises(LookupError, match=r"nothing is known of order\.charge_1"):
        _ = handle.job
    api.script.append(Reply(200, job_body("order.charge_1", "running")))
    assert (await handle.status()).state == "running"
    assert (await connect().submit("x")).job.state == "queued"


@pytest.mark.parametrize("state", ["dead", "cancelled", "expired"])
async def test_result_raises_when_the_job_ended_without_success(connect: Connect, api: ScriptedApi, state: str) -> None:
    """A job that ended without success raises JobFailedError, which carries the job and its reason."""
    handle = await connect().submit("x")
    error = {"type": "ValueError", "message": "no stock"}
    api.script.append(Reply(200, job_body(handle.id, state, reason="attempts", error=error)))
    with pytest.raises(JobFailedError, match=rf"is {state} \(attempts\): ValueError: no stock") as caught:
        await handle.result()
    assert caught.value.job.state == state


async def test_result_raises_when_the_job_takes_longer(connect: Connect, api: ScriptedApi) -> None:
    """A wait of zero seconds asks once, and raises when the job has not ended."""
    handle = await connect().submit("x")
    api.script.append(Reply(200, job_body(handle.id, "running")))
    with pytest.raises(WaitTimeoutError, match="is running"):
        await handle.result(timeout=0)
    assert api.received[-1].query == {"wait": ["0"]}


async def test_handle_reads_and_cancels_its_job(connect: Connect, api: ScriptedApi) -> None:
    """A handle reads and cancels its own job."""
    handle = await connect().submit("x")
    api.script.extend([Reply(200, job_body(handle.id, "running")), Reply(202, job_body(handle.id, "cancelled"))])
    assert (await handle.status()).state == "running"
    assert (await handle.cancel()).state == "cancelled"
    assert (api.received[-1].method, api.received[-1].path) == ("POST", f"/v1/jobs/{handle.id}/cancel")


async def test_handle_reads_the_stack_of_its_job(connect: Connect, api: ScriptedApi) -> None:
    """A handle and its client ask where a job is, whose text is the stack; it is asked for once."""
    handle = await connect().submit("x")
    told = {"id": handle.id, "attempt": 2, "worker": "host:1:me", "stack": "in wait"}
    api.script.extend([Reply(200, told), problem(504, "silent")])
    assert str(await handle.stack()) == "in wait"
    with pytest.raises(UnavailableError):
        await connect().stack(handle.id)
    assert [one.path for one in api.received[1:]] == [f"/v1/jobs/{handle.id}/stack"] * 2


async def test_wait_returns_the_job_when_it_is_settled(connect: Connect, api: ScriptedApi) -> None:
    """A wait returns the job once it is settled, also when it is dead."""
    api.script.append(Reply(200, job_body("x_1", "dead")))
    assert (await connect().wait("x_1", 5)).state == "dead"


async def test_a_job_is_run_now_and_given_a_priority(connect: Connect, api: ScriptedApi) -> None:
    """A job is run now and given a priority by a POST; a word that is no priority is refused before."""
    api.script.extend([Reply(202, job_body("x_1")), Reply(202, job_body("x_1"))])
    await connect().run_now("x_1")
    await connect().set_priority("x_1", "high")
    assert [(one.method, one.path) for one in api.received] == [
        ("POST", "/v1/jobs/x_1/run-now"),
        ("POST", "/v1/jobs/x_1/priority"),
    ]
    assert msgspec.msgpack.decode(api.received[-1].content) == {"priority": "high"}
    with pytest.raises(ValueError, match="urgent"):
        await connect().set_priority("x_1", "urgent")  # type: ignore[arg-type]


async def test_retry_posts_to_the_job(connect: Connect, api: ScriptedApi) -> None:
    """A retry is a POST to the job."""
    api.script.append(Reply(202, job_body("x_1")))
    await connect().retry("x_1")
    assert (api.received[0].method, api.received[0].path) == ("POST", "/v1/jobs/x_1/retry")


async def test_jobs_asks_for_what_is_given_and_returns_the_page(connect: Connect, api: ScriptedApi) -> None:
    """A list sends the filters that were given and no others, and returns the page."""
    api.script.append(Reply(200, {"items": [job_body()], "next_cursor": "c2"}))
    page = await connect().jobs(type="email.send", state="queued", limit=1)
    assert api.received[0].query == {"type": ["email.send"], "state": ["queued"], "limit": ["1"]}
    assert (len(page.items), page.next_cursor) == (1, "c2")


FILTERS = {"jobs": ("type", "state", "cursor", "limit"), "dead": ("type", "cursor", "limit")}


@pytest.mark.parametrize(("method", "names"), FILTERS.items())
async def test_every_filter_of_a_page_is_sent(
    connect: Connect, api: ScriptedApi, method: str, names: tuple[str, ...]
) -> None:
    """Each filter is sent under its own name with its own value."""
    values: dict[str, Any] = {name: 7 if name == "limit" else f"the-{name}" for name in names}
    api.script.append(Reply(200, {"items": [], "next_cursor": None}))
    await getattr(connect(), method)(**values)
    assert api.received[0].path == f"/v1/{method}"
    assert api.received[0].query == {name: [str(value)] for name, value in values.items()}


@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_action_by_type_has_a_limit(connect: Connect, api: ScriptedApi, action: str) -> None:
    """An action by type sends a limit, by default 1,000."""
    report = Reply(200, {"done": 0, "refused": 0, "items": []})
    api.script.extend([report, report])
    client = connect()
    await getattr(client, action)(type="x", limit=7)
    await getattr(client, action)(type="x")
    assert [request.body for request in api.received] == [
        {"type": "x", "ids": None, "limit": 7},
        {"type": "x", "ids": None, "limit": 1000},
    ]


async def test_dead_returns_a_page_of_dead_letters(connect: Connect, api: ScriptedApi) -> None:
    """`dead` returns a page of dead letters."""
    letter = {"id": "x_1", "type": "x", "reason": "attempts", "died_at": "2026-01-02T03:04:05Z"}
    api.script.append(Reply(200, {"items": [letter], "next_cursor": None}))
    page = await connect().dead(type="x", cursor="c")
    assert api.received[0].query == {"type": ["x"], "cursor": ["c"]}
    assert page.items[0].reason == "attempts"


@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_action_names_the_dead_letters_it_is_for(connect: Connect, api: ScriptedApi, action: str) -> None:
    """An action is by ids or by type, and its report has the result for each job."""
    api.script.append(Reply(200, {"done": 0, "refused": 1, "items": [{"id": "x_1", "status": 404}]}))
    report = await getattr(connect(), action)(ids=["x_1"])
    assert api.received[0].path == f"/v1/dead/{action}"
    assert api.received[0].body["ids"] == ["x_1"]
    assert (report.refused, report.items[0].status) == (1, 404)


@pytest.mark.parametrize("chosen", [{}, {"ids": ["x_1"], "type": "x"}])
async def test_action_raises_type_error_when_the_choice_is_unclear(
    connect: Connect, api: ScriptedApi, chosen: dict[str, Any]
) -> None:
    """An action with neither ids nor a type, or with both, raises TypeError."""
    with pytest.raises(TypeError, match="either ids or a type"):
        await connect().redrive(**chosen)
    assert not api.received


@pytest.mark.parametrize(
    ("method", "item"),
    [
        (
            "queues",
            {"type": "x", "partitions": 1, "queued": {}, "running": 0, "scheduled": 0, "blocked": 0, "dead": 0},
        ),
        ("types", {"type": "x", "policy": {"max_attempts": 3}}),
        ("workers", {"name": "h:1:a", "types": ["x"], "concurrency": 4,
                     "started_at": "2026-01-02T03:04:05Z", "seen_at": "2026-01-02T03:04:05Z"}),
    ],
)  # fmt: skip
async def test_list_is_read_to_its_last_page(
    connect: Connect, api: ScriptedApi, method: str, item: dict[str, Any]
) -> None:
    """A list of the fleet is read to its last page and returned whole."""
    pages = [{"items": [item], "next_cursor": "c2"}, {"items": [item], "next_cursor": None}]
    api.script.extend(Reply(200, page) for page in pages)
    client = connect()
    assert len(await getattr(client, method)()) == 2
    assert [request.query for request in api.received] == [{"limit": ["500"]}, {"cursor": ["c2"], "limit": ["500"]}]
    api.script.append(Reply(200, pages[1]))
    assert len(await getattr(client, method)()) == 1
    assert api.received[0].path == f"/v1/{method}"


@pytest.mark.parametrize(("types", "query"), [(None, {}), (["a", "b.*"], {"types": ["a,b.*"]})])
async def test_demand_is_asked_for_some_types_or_for_all(
    connect: Connect, api: ScriptedApi, types: list[str] | None, query: dict[str, list[str]]
) -> None:
    """The types of a demand are sent as one list, and left out where all are meant."""
    fields = {"queued": 1, "running": 2, "due_soon": 3, "oldest_ready_age_s": 0.5, "slots": 4, "wanted_workers": 2}
    api.script.append(Reply(200, fields))
    found = await connect().demand(types)
    assert (found.queued, found.slots, found.wanted_workers) == (1, 4, 2)
    assert (api.received[0].path, api.received[0].query) == ("/v1/demand", query)


async def test_demand_of_one_text_raises_type_error(connect: Connect, api: ScriptedApi) -> None:
    """One text is refused where a list of types is expected, before anything is sent."""
    with pytest.raises(TypeError, match="a list"):
        await connect().demand("email.send")
    assert not api.received


@pytest.mark.parametrize("status", [200, 503])
async def test_health_returns_the_document_also_when_unwell(connect: Connect, api: ScriptedApi, status: int) -> None:
    """The health of an unwell service is returned, and raises no error."""
    api.script.append(Reply(status, {"status": "whatever"}, "application/json"))
    assert await connect().health() == {"status": "whatever"}
    assert len(api.received) == 1


async def test_health_raises_when_there_is_no_such_page(connect: Connect, api: ScriptedApi) -> None:
    """The health call raises on any status except 200 and 503."""
    api.script.append(problem(404, "No such page"))
    with pytest.raises(ApiError, match="No such page"):
        await connect().health()


async def all_of(found: Any) -> list[Any]:
    """Return what an iterator of either client yields."""
    return [one async for one in found] if hasattr(found, "__aiter__") else list(found)


async def test_a_search_follows_its_pages(connect: Connect, api: ScriptedApi) -> None:
    """A search yields the jobs of all pages, also behind one that had no time to find any."""
    api.script.extend(
        [
            Reply(200, {"items": [job_body("x_1"), job_body("x_2")], "next_cursor": "h.a"}),
            Reply(200, {"items": [], "next_cursor": "h.b", "complete": False}),
            Reply(200, {"items": [job_body("x_3", "dead")], "next_cursor": None}),
        ]
    )
    jobs = await all_of(await connect().search("state:dead", tags={"customer": "c1"}, page_size=2))
    assert [job.id for job in jobs] == ["x_1", "x_2", "x_3"]
    assert [request.query.get("cursor") for request in api.received] == [None, ["h.a"], ["h.b"]]
    assert {tuple(request.query[name][0] for name in ("q", "tag.customer", "limit")) for request in api.received} == {
        ("state:dead", "c1", "2")
    }


async def test_a_page_of_a_search_has_what_was_asked_for(connect: Connect, api: ScriptedApi) -> None:
    """A page of a search is asked for with its times and its count, and a time without a zone is refused."""
    since = datetime(2026, 1, 2, tzinfo=UTC)
    api.script.append(Reply(200, {"items": [], "next_cursor": None, "count": {"value": 7, "relation": "~"}}))
    page = await connect().jobs("", created_after=since, count=True)
    assert (page.count.value, page.count.relation) == (7, "~")
    query = api.received[-1].query
    assert (query["created_after"], query["count"]) == (["2026-01-02T00:00:00+00:00"], ["1"])
    with pytest.raises(ValueError, match="time zone"):
        await connect().jobs("", created_after=since.replace(tzinfo=None))


async def test_what_pages_show_is_decoded(connect: Connect, api: ScriptedApi) -> None:
    """Facets, statistics by type and the system come as their types, and are asked for with what they are about."""
    moment, numbers = "2026-01-02T03:04:05Z", {"submitted_by_step": [1], "ended_by_step": [0], "failed_by_step": [0]}
    value = {"value": "dead", "count": 2, "relation": "at_least", "q": "state:dead"}
    facets = {"items": [{"field": "state", "values": [value]}], "count": {"value": 2, "relation": "exact"}}
    types = {"from": moment, "to": moment, "step_s": 60, "items": [{"type": "a", **numbers}]}
    check = {"name": "redis", "status": "warn", "detail": "appendonly is off"}
    bodies = ({**facets, "complete": True}, types, {"looked_at": moment, "checks": [check]})
    api.script.extend([Reply(200, body) for body in bodies])
    client = connect()
    found = await client.facets("since:1d", tags={"customer": "c1"})
    assert (found.items[0].values[0].q, found.complete) == ("state:dead", True)
    assert (await client.stats_by_type(since=timedelta(hours=1), limit=9)).items[0].submitted_by_step == [1]
    assert (await client.system()).checks[0].status == "warn"
    assert [(one.path, one.query) for one in api.received] == [
        ("/v1/jobs/search/facets", {"q": ["since:1d"], "tag.customer": ["c1"]}),
        ("/v1/stats/types", {"from": ["3600s"], "limit": ["9"]}),
        ("/v1/system", {}),
    ]


async def test_the_timeline_and_the_groups_are_decoded(connect: Connect, api: ScriptedApi) -> None:
    """The timeline of a job and the groups of dead jobs come as their types."""
    moment = "2026-01-02T03:04:05Z"
    item = {"at": moment, "kind": "started", "state": "running", "version": 2}
    attempt = {"n": 1, "started_at": moment, "outcome": "running"}
    api.script.append(Reply(200, {"id": "x_1", "items": [item], "attempts": [attempt], "complete": False}))
    timeline = await connect().timeline("x_1")
    assert (timeline.items[0].version, timeline.attempts[0].outcome, timeline.complete) == (2, "running", False)
    group = {"type": "a", "fingerprint": "f", "count": 2, "first_seen": moment, "last_seen": moment}
    api.script.append(Reply(200, {"items": [{**group, "sample": {"id": "a_1"}}]}))
    [found] = (await connect().dead_groups(type="a", since=timedelta(days=1), live=True)).items
    assert (found.count, found.sample.id) == (2, "a_1")
    assert api.received[-1].query == {"type": ["a"], "since": ["86400s"], "live": ["1"]}


async def test_hints_are_asked_for_at_a_place(connect: Connect, api: ScriptedApi) -> None:
    """The place in the query goes along where it is given, and the hints come as their type."""
    api.script.extend([Reply(200, {"replace": [6, 8], "items": [{"text": "dead", "note": "state"}]})] * 2)
    hints = await connect().search_hints("state:de since:1d", 8)
    assert (hints.replace, hints.items[0].text) == ([6, 8], "dead")
    assert api.received[-1].query == {"q": ["state:de since:1d"], "at": ["8"]}
    await connect().search_hints("state:de")
    assert api.received[-1].query == {"q": ["state:de"]}
